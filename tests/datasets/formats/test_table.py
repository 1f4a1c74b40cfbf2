"""CSV, TSV, JSONL and Parquet: columns by name, labels by separator or list, and what a malformed file says."""

from __future__ import annotations

import csv
import gzip
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from xmlcli.datasets.find import locate
from xmlcli.datasets.formats.layouts import TABLE
from xmlcli.datasets.formats.problems import TableColumns
from xmlcli.datasets.formats.raw import RawDataset
from xmlcli.datasets.load import read_dataset
from xmlcli.errors import DatasetError
from xmlcli.stages.call import RunId


def read(path: Path, columns: TableColumns | None = None, most: int | None = None) -> RawDataset:
    found = locate(str(path), [])
    assert found.layout == TABLE
    return read_dataset(found, columns=columns, max_documents=most)


def labels(dataset: RawDataset) -> list[set[str]]:
    names = dataset.label_names
    assert names is not None
    Y = dataset.train.Y
    return [{names[label] for label in Y[row].indices} for row in range(Y.shape[0])]


def message(path: Path, columns: TableColumns | None = None) -> str:
    with pytest.raises(DatasetError) as caught:
        read(path, columns)
    return str(caught.value)


def test_csv_file_is_a_dataset_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "tickets.csv"
    path.write_text('text,labels\n"quoted, ""text""\nof two lines",red; blue\nplain,\nlast,blue;; ;red ;blue\n')
    dataset = read(path)
    assert dataset.train.texts == ['quoted, "text"\nof two lines', "plain", "last"]
    assert dataset.label_names == ["blue", "red"]
    assert labels(dataset) == [{"red", "blue"}, set(), {"red", "blue"}]
    assert dataset.test is None
    assert locate(str(path), []).name == "tickets"
    assert RunId(str(path)).name == "tickets"


def test_columns_and_separator_are_chosen_and_texts_joined(tmp_path: Path) -> None:
    path = tmp_path / "books.csv"
    path.write_text("id;title;body;tags\n1;One;first;a|b, c\n2;Two;;b, c\n")
    dataset = read(path, TableColumns("title,body", "tags", "|"))
    assert dataset.train.texts == ["One first", "Two"]
    assert labels(dataset) == [{"a", "b, c"}, {"b, c"}]


@pytest.mark.parametrize("name", ["train.csv", "train.tsv.gz", "train.jsonl", "train.ndjson.gz"])
def test_a_folder_holds_train_and_test_of_any_kind(tmp_path: Path, name: str) -> None:
    def content(rows: list[tuple[str, str]]) -> bytes:
        if "json" in name:
            return "".join(json.dumps({"text": t, "labels": n.split(";")}) + "\n" for t, n in rows).encode()
        sign = "\t" if "tsv" in name else ","
        return "".join(f"{t}{sign}{n}\n" for t, n in [("text", "labels"), *rows]).encode()

    pack = gzip.compress if name.endswith(".gz") else bytes
    (tmp_path / name).write_bytes(pack(content([("one", "b;a"), ("two", "b")])))
    (tmp_path / name.replace("train", "test")).write_bytes(pack(content([("three", "c;a")])))
    dataset = read(tmp_path)
    assert dataset.label_names == ["a", "b", "c"]
    assert dataset.test is not None
    assert dataset.test.texts == ["three"]
    assert dataset.test.Y.toarray().tolist() == [[1, 0, 1]]


def test_a_folder_with_one_table_is_a_dataset_and_with_two_is_none(tmp_path: Path) -> None:
    (tmp_path / "all.csv").write_text("text,labels\na,b\n")
    assert read(tmp_path).train.texts == ["a"]
    (tmp_path / "more.csv").write_text("text,labels\na,b\n")
    assert "no dataset of a known layout" in message(tmp_path)


def test_byte_order_mark_windows_lines_and_max_documents(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("\ufefftext,labels\r\nü,x\r\nb,y\r\nbroken\r\n".encode())
    dataset = read(path, most=2)
    assert dataset.train.texts == ["ü", "b"]
    assert dataset.label_names == ["x", "y"]


def test_fields_of_any_length_are_read(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"text,labels\n{'word ' * 100_000},x\n")
    assert read(path).train.texts == ["word " * 100_000]


LISTS = [(["a, b", "c d"], {"a, b", "c d"}), (["it's"], {"it's"}), ([], set()), ([7, " x "], {"7", "x"})]


@pytest.mark.parametrize("spell", [json.dumps, repr])
def test_a_cell_may_hold_a_list_as_json_or_python_write_it(tmp_path: Path, spell: Callable[[object], str]) -> None:
    path = tmp_path / "t.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "labels"), *(("a", spell(names)) for names, _ in LISTS)])
    assert labels(read(path)) == [expected for _, expected in LISTS]


def test_a_label_in_brackets_that_is_no_list_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("text,labels\na,[sic]\nb,[1 2]\nc,[{}]\nd,[\n")
    assert labels(read(path)) == [{"[sic]"}, {"[1 2]"}, {"[{}]"}, {"["}]


def test_a_number_is_a_label(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"text": "a", "labels": 12}\n{"text": "a", "labels": [9, "12"]}\n')
    assert labels(read(path)) == [{"12"}, {"9", "12"}]


def test_a_line_that_names_the_delimiter_and_spaces_around_names_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('sep=;\r\ntext ; labels\r\n"a;b";x\r\nalone\r\n')
    assert "line 4: expected 2 fields, as in line 2, found 1" in message(path)
    path.write_text('"sep=;"\r\ntext ; labels\r\n"a;b";x\r\n')
    assert read(path).train.texts == ["a;b"]


def test_text_that_is_not_utf8_says_how_to_save_it(tmp_path: Path) -> None:
    table = "text;labels\ncafé;x\nthé;x\n"
    (tmp_path / "latin.csv").write_bytes(table.encode("latin-1"))
    text = message(tmp_path / "latin.csv")
    assert r"line 2: expected UTF-8 text, found 'caf\xe9'" in text
    assert text.count("iconv -f WINDOWS-1252 -t UTF-8") == 1
    (tmp_path / "wide.csv").write_bytes(table.encode("utf-16"))
    assert "iconv -f UTF-16 -t UTF-8" in message(tmp_path / "wide.csv")
    (tmp_path / "head.csv").write_bytes(b"text;labels;caf\xe9\na;x;y\n")
    assert "iconv -f WINDOWS-1252" in message(tmp_path / "head.csv")
    (tmp_path / "latin.jsonl").write_bytes('{"text": "café", "labels": "x"}\n'.encode("latin-1"))
    assert "iconv -f WINDOWS-1252" in message(tmp_path / "latin.jsonl")


def test_a_wanted_column_that_is_there_twice_and_a_table_without_documents_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("text,labels,text\na,x,b\n")
    assert "several columns 'text'" in message(path)
    path.write_text("text,note,labels,note\na,1,x,2\n")
    assert labels(read(path)) == [{"x"}]
    path.write_text("text,labels\n")
    assert "no documents" in message(path)


def test_fields_that_hold_the_delimiter_have_to_be_quoted(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("text,labels\none, two,x\n")
    assert "put a field that holds ',' or a line break in double quotes" in message(path)


def test_missing_column_says_which_there_are(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("title,tags\na,b\n")
    for part in ("no column 'text' and no column 'labels'", "'title', 'tags'", "--text-column"):
        assert part in message(path)
    path.write_text("")
    assert "found: an empty file" in message(path)


def test_malformed_csv_lines_are_counted_and_ten_shown(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    lines = [b"text,labels", b'"two\nlines",x', b"alone", b"a,b,c", b"\xff,x", b'"bad"quote,x', *[b"alone"] * 10]
    path.write_bytes(b"\n".join(lines) + b"\n")
    text = message(path)
    assert f"{path}: 14 problems" in text
    for part in (
        "line 4: expected 2 fields, as in line 1, found 1",
        "line 5: expected 2 fields, as in line 1, found 3",
        "line 6: expected UTF-8 text",
        "line 7: expected a line of CSV",
        "(4 more)",
    ):
        assert part in text


def test_malformed_json_lines_are_named(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    records = ['{"text": "a", "labels": ["x", 7]}', "[1]", "{", '{"text": 1}', '{"labels": []}']
    path.write_text("\n".join([*records, '{"text": "a", "labels": {"x": 1}}', '{"text": "b", "labels": null}']) + "\n")
    text = message(path)
    assert "5 problems" in text
    for part in ("line 2: expected a JSON object", "line 3", "line 4: expected text under 'text', found 1"):
        assert part in text
    assert "line 5: expected text under 'text', found only labels" in text
    assert "line 6: expected a text or a list of texts under 'labels'" in text


@pytest.mark.parametrize(("here", "absent"), [("labels", "text"), ("text", "labels")])
def test_a_column_that_no_json_object_has_is_told_once(tmp_path: Path, here: str, absent: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(f'{{"{here}": "a", "tags": "x"}}\n' * 20)
    text = message(path)
    for part in (f"no column '{absent}'", f"columns '{here}', 'tags'", "--text-column"):
        assert part in text
    assert "problems" not in text
    with pytest.raises(DatasetError, match=f"no column '{absent}'"):
        read(path, most=3)


def test_parquet_without_its_package_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "train.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert "pip install 'xmlcli[parquet]'" in message(tmp_path)


def test_parquet_is_read(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "t.parquet"
    parquet.write_table(
        pyarrow.table({"text": ["a", "b", None], "labels": [["x", "y"], [], ["y"]], "n": [1, 2, 3]}), path
    )
    dataset = read(path)
    assert dataset.train.texts == ["a", "b", ""]
    assert labels(dataset) == [{"x", "y"}, set(), {"y"}]
    assert "no column 'tags'" in message(path, TableColumns("text", "tags"))
    path.write_bytes(b"PAR1 nonsense")
    assert "damaged Parquet file" in message(path)
