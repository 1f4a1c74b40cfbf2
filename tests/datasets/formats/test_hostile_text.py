"""Text files that nobody vouches for: each is read right, or is one error that names the file."""

from __future__ import annotations

import bz2
import gzip
import json
import random
from pathlib import Path

import pytest

from xmlcli.datasets.find import locate
from xmlcli.datasets.formats import records, streams
from xmlcli.datasets.formats.named import NamedFile, NamedRows, NameTable, read_named
from xmlcli.datasets.formats.raw import RawDataset
from xmlcli.datasets.load import read_dataset
from xmlcli.errors import DatasetError

DIGITS = "9" * 5000
BOM = "\ufeff"
Files = dict[str, str | bytes]


def write(folder: Path, files: Files) -> Path:
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def read(folder: Path) -> RawDataset:
    return read_dataset(locate(str(folder), []))


def refused(folder: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        read(folder)
    assert str(folder) in str(caught.value)
    assert len(str(caught.value)) < 1000
    return str(caught.value)


def names(folder: Path) -> list[str]:
    label_names = read(folder).label_names
    assert label_names is not None
    return label_names


@pytest.mark.parametrize("cell", ["['\\ud800']", '["\\ud800"]', "['a', '\\udcff\\ud800']"])
def test_half_a_character_in_a_label_is_refused(tmp_path: Path, cell: str) -> None:
    quoted = cell.replace('"', '""')
    text = refused(write(tmp_path, {"t.csv": f'text,labels\na,x\nb,"{quoted}"\n'}))
    assert "line 3: expected labels of whole characters" in text


def test_half_a_character_in_json_is_refused(tmp_path: Path) -> None:
    assert "line 1" in refused(write(tmp_path, {"t.jsonl": '{"text": "a", "labels": ["\\ud800"]}\n'}))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"t.csv": f"text,labels\na,{DIGITS}\nb,10;9\n"}, ["9", "10", DIGITS]),
        ({"t.csv": f"text,labels\na,[{DIGITS}]\n"}, [f"[{DIGITS}]"]),
        ({"t.csv": f"text,labels\na,[0x{DIGITS}]\n"}, [f"[0x{DIGITS}]"]),
        ({"train_texts.txt": "a\n", "train_labels.txt": f"1{DIGITS} {DIGITS} 9\n"}, ["9", DIGITS, f"1{DIGITS}"]),
    ],
    ids=["csv", "list", "hex", "attention"],
)
def test_numbers_of_any_length_are_labels(tmp_path: Path, files: Files, expected: list[str]) -> None:
    assert names(write(tmp_path, files)) == expected


@pytest.mark.parametrize("value", [DIGITS, f"[{DIGITS}]", "[" * 100_000 + "]" * 100_000, '{"a":' * 100_000])
def test_a_json_line_too_large_or_too_deep_is_named(tmp_path: Path, value: str) -> None:
    assert "line 2" in refused(
        write(tmp_path, {"t.jsonl": f'{{"text":"a","labels":"x"}}\n{{"text":"a","labels":{value}}}\n'})
    )


@pytest.mark.parametrize("value", [DIGITS, f"{2**64}", "-1", "[" * 100_000, "1e999"])
def test_an_id_too_large_or_too_deep_is_named(tmp_path: Path, value: str) -> None:
    line = f'{{"title":"a","target_ind":[{value}]}}\n'
    assert "line 1" in refused(write(tmp_path, {"trn.json": line, "lbl.json": '{"title":"x"}\n'}))


def test_a_filter_of_too_many_digits_is_named(tmp_path: Path) -> None:
    split = "1 5 5\n0 0:1\n"
    files: Files = {"train.txt": split, "test.txt": split, "filter_labels_test.txt": f"0 1\n0 {DIGITS}\n"}
    assert "line 2: expected a row below 1" in refused(write(tmp_path, files))


@pytest.mark.parametrize("cell", ["[" * 50_000 + "]" * 50_000, "[" + "-" * 99_999 + "1]", "[" + "1+" * 99_999 + "1]"])
def test_a_list_that_python_would_take_long_over_is_refused(tmp_path: Path, cell: str) -> None:
    assert "line 2: expected a list as JSON" in refused(write(tmp_path, {"t.csv": f"text,labels\na,{cell}\n"}))


def test_python_warns_of_nothing_in_a_list(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    names(write(tmp_path, {"t.csv": "text,labels\na,['\\\x1b']\nb,['x' ('y')]\n"}))
    assert not recwarn.list


def test_a_long_list_of_json_is_read(tmp_path: Path) -> None:
    listed = json.dumps([f"label{i}" for i in range(20_000)]).replace('"', '""')
    assert len(names(write(tmp_path, {"t.csv": f'text,labels\na,"{listed}"\n'}))) == 20_000


NUL: list[tuple[Files, list[str]]] = [
    ({"t.csv": "text,labels\na\0b,x\0;y\n"}, ["x\0", "y"]),
    ({"t.jsonl": '{"text":"a\\u0000","labels":["x\\u0000"]}\n'}, ["x\0"]),
    ({"train.tsv": "a\0\tu\0\n", "vocab.tsv": "u\0\tx\0\n"}, ["x\0"]),
]
MARKED: list[tuple[Files, list[str]]] = [
    ({"t.csv": f"{BOM}text,labels\r\na,x\nb,y\rc,z\n"}, ["x", "y", "z"]),
    ({"t.jsonl": f'{BOM}{{"text":"a","labels":"x"}}\r\n\n{{"text":"a","labels":"y"}}'}, ["x", "y"]),
    ({"trn.json": f'{BOM}{{"title":"a","target_ind":[0]}}\r\n', "lbl.json": f'{BOM}{{"title":"x"}}\r\n'}, ["x"]),
    ({"trn.json": '{"title":"a","target_ind":[0]}\n', "Yf.txt": f"{BOM}x\r\ny"}, ["x", "y"]),
    ({"train.tsv": f"{BOM}a\tu\r\n", "vocab.tsv": f"{BOM}u\tx\r\n"}, ["x"]),
    ({"train_texts.txt": f"{BOM}a\r\nb\n", "train_labels.txt": f"{BOM}x\r\ny"}, ["x", "y"]),
    ({"train.txt": "1 5 2\n0 0:1\n", "labels.txt": f"{BOM}x\r\ny\n"}, ["x", "y"]),
]


@pytest.mark.parametrize(("files", "expected"), [*NUL, *MARKED], ids=lambda value: "-".join(value)[:20])
def test_nul_marks_and_ends_of_lines_are_read(tmp_path: Path, files: Files, expected: list[str]) -> None:
    assert names(write(tmp_path, files)) == expected


def test_an_unclosed_quote_is_named_where_it_begins(tmp_path: Path) -> None:
    text = refused(write(tmp_path, {"t.csv": 'text,labels\na,x\n"b,x\n' + "c,y\n" * 1000}))
    assert "line 3: expected a line of CSV" in text


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.csv.gz", "t.jsonl.bz2"])
def test_a_line_without_end_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(streams, "MOST_LINE_BYTES", 1000)
    content = (b"text,labels\n" if "csv" in name else b'{"text":"a","labels":"x"}\n') + b"x," * 1_000_000
    pack = {"gz": gzip.compress, "bz2": bz2.compress}.get(name.rpartition(".")[2], bytes)
    assert "a line too long\nwhere: line " in refused(write(tmp_path, {name: pack(content)}))


def test_a_quote_that_swallows_the_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MOST_LINE_BYTES", 1000)
    text = refused(write(tmp_path, {"t.csv": 'text,labels\n"a,x\n' + "c,y\n" * 300}))
    assert "line 2: expected a line of CSV, found field larger than field limit (1000)" in text


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_a_compressed_bomb_stops_at_the_bound(tmp_path: Path, pack: object) -> None:
    content = pack(b" " * (80 << 20))  # type: ignore[operator]
    name = "t.jsonl.gz" if pack is gzip.compress else "t.jsonl.bz2"
    assert "at most 16,777,216 bytes" in refused(write(tmp_path, {name: content}))


def test_digits_are_ordered_as_numbers_are() -> None:
    source = random.Random(2)
    met = [str(source.randrange(10 ** source.randrange(1, 9))).zfill(source.randrange(1, 9)) for _ in range(500)]

    def reader(_role: str, name_table: NameTable) -> NamedFile:
        rows = NamedRows(name_table)
        rows.add("a", met)
        return NamedFile(rows)

    assert read_named(reader, has_test=False).label_names == sorted(set(met), key=lambda name: (int(name), name))


WHOLE: list[Files] = [
    {"t.csv": 'text,labels\n"a, ""b""","[\'x\', \'y\']"\nc,x;z\n'},
    {"t.tsv": "text\tlabels\na\tx\nb\t[1, 2]\n"},
    {"t.jsonl": '{"text": "a", "labels": ["x", 7]}\n{"text": "b\\u00e9", "labels": "y;z"}\n'},
    {
        "trn.json": '{"title": "a", "content": "b", "target_ind": [0, 1]}\n',
        "lbl.json": '{"title": "x"}\n{"title": "y"}\n',
    },
    {"train.tsv": "a\t<u> <v>\nb\t\n", "vocab.tsv": "<u>\tx\n<v>\ty\n"},
    {"train_texts.txt": "a b\nc\n", "train_labels.txt": "x y\n10 9\n"},
]
SIGNS = [
    b"\0",
    b"\r",
    b"\n",
    b'"',
    b"'",
    b"\\",
    b"\xff",
    b"\xed\xa0\x80",
    b"9" * 30,
    b"[",
    b"]",
    b"{",
    b",",
    b";",
    b"\t",
    b"-",
    b"\xef\xbb\xbf",
    b"\\ud800",
    b"",
]


@pytest.mark.parametrize("files", WHOLE, ids="-".join)
def test_damage_anywhere_is_a_refusal_or_a_dataset(tmp_path: Path, files: Files) -> None:
    source = random.Random(4)
    for _ in range(250):
        for name, content in files.items():
            damaged = bytearray(content.encode() if isinstance(content, str) else content)
            for _ in range(source.randrange(0, 4)):
                at = source.randrange(len(damaged) + 1)
                damaged[at : at + source.randrange(3)] = source.choice(SIGNS)
            (tmp_path / name).write_bytes(damaged)
        try:
            dataset = read(tmp_path)
        except DatasetError:
            continue
        assert dataset.train.texts is not None
        " ".join([*dataset.train.texts, *(dataset.label_names or [])]).encode()  # no half characters
        assert dataset.train.Y.shape[0] == len(dataset.train.texts)
