"""Finding datasets by name and path, and reading them whole."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from xmlcli.datasets.find import data_folders, locate, subfolders
from xmlcli.datasets.formats.layouts import LF_RAW, XMC_TEXT
from xmlcli.datasets.load import read_dataset
from xmlcli.datasets.published.catalogue import KNOWN_DATASETS, find_known, simplified
from xmlcli.errors import DatasetError
from xmlcli.stages.call import RunId


def bag_of_words(folder: Path, prefix: str = "") -> Path:
    folder.mkdir(parents=True)
    (folder / f"{prefix}train.txt").write_text("3 4 2\n0 0:1\n1 1:2\n0,1 3:1\n")
    (folder / f"{prefix}test.txt").write_text("1 4 2\n1 2:1\n")
    return folder


def raw_text(folder: Path) -> Path:
    folder.mkdir(parents=True)
    document = json.dumps({"title": "t", "content": "c", "target_ind": [1]}) + "\n"
    (folder / "trn.json").write_text(document * 3)
    (folder / "tst.json").write_text(document * 2)
    (folder / "lbl.json").write_text('{"title": "zero"}\n{"title": "one"}\n')
    return folder


def test_names_are_found_whatever_their_case_and_spelling(tmp_path: Path) -> None:
    bag_of_words(tmp_path / "a" / "My-Data")
    bag_of_words(tmp_path / "b" / "EURLex-4K", prefix="eurlex_")
    folders = [tmp_path / "absent", tmp_path / "a", tmp_path / "b"]
    assert locate("my_data", folders).name == "My-Data"
    for name in ("eurlex", "EURLEX-4k", "eurlex4k"):
        found = locate(name, folders)
        assert found.path == tmp_path / "b" / "EURLex-4K"
        assert found.known is find_known("eurlex")
        assert found.files["train"].name == "eurlex_train.txt"


def test_hidden_folders_are_no_datasets(tmp_path: Path) -> None:
    bag_of_words(tmp_path / ".fetch-mine" / "mine")
    bag_of_words(tmp_path / ".mine")
    with pytest.raises(DatasetError, match="no dataset"):
        locate("mine", [tmp_path])
    assert subfolders(tmp_path) == []
    (tmp_path / "file").touch()
    assert subfolders(bag_of_words(tmp_path / "mine").parent) == [tmp_path / "mine"]
    assert subfolders(tmp_path / "absent") == []


def test_exact_name_wins_over_another_spelling_and_earlier_folder_over_later(tmp_path: Path) -> None:
    for folder in ("a/X1", "a/x-1", "b/x1"):
        bag_of_words(tmp_path / folder)
    assert locate("x-1", [tmp_path / "a", tmp_path / "b"]).path == tmp_path / "a" / "x-1"
    assert locate("x1", [tmp_path / "a", tmp_path / "b"]).path == tmp_path / "a" / "X1"


def test_any_folder_is_a_path_and_its_layout_is_seen(tmp_path: Path) -> None:
    found = locate(str(bag_of_words(tmp_path / "one")), [])
    assert (found.name, found.layout, sorted(found.files)) == ("one", XMC_TEXT, ["test", "train"])
    found = locate(f"{raw_text(tmp_path / 'two')}/", [])
    assert (found.name, found.layout, sorted(found.files)) == ("two", LF_RAW, ["labels", "test", "train"])


def test_a_table_in_the_current_folder_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("Books.2024.csv").write_text("text,labels\na,x\n")
    Path("eurlex").write_text("no table")
    found = locate("Books.2024.csv", [])
    assert (found.name, found.layout, found.path) == ("Books", "table", Path("Books.2024.csv"))
    assert RunId("Books.2024.csv").name == "books"
    with pytest.raises(DatasetError, match="EURLex-4K is known but not on this machine"):
        locate("eurlex", [])


def test_bag_of_words_dataset_is_read_whole(tmp_path: Path) -> None:
    folder = bag_of_words(tmp_path / "amazon-670k")
    (folder / "labels.txt").write_text("first\nsecond\n")
    (folder / "filter_labels_test.txt").write_text("0 1\n")
    dataset = read_dataset(locate(str(folder), []), max_documents=2)
    assert dataset.train.Y.toarray().tolist() == [[1, 0], [0, 1]]
    assert dataset.test is not None
    assert dataset.test.Y.toarray().tolist() == [[0, 1]]
    assert dataset.label_names == ["first", "second"]
    assert dataset.feature_names is None
    assert dataset.test_filter is not None
    assert dataset.test_filter.tolist() == [[0, 1]]
    assert (dataset.propensity_a, dataset.propensity_b) == (0.6, 2.6)


def test_raw_text_dataset_is_read_whole_and_needs_no_test_file(tmp_path: Path) -> None:
    folder = raw_text(tmp_path / "mine")
    (folder / "filter_labels_test.txt").write_text("")
    dataset = read_dataset(locate(str(folder), []))
    assert dataset.test is not None
    assert dataset.test.texts == ["t c", "t c"]
    assert dataset.label_names == ["zero", "one"]
    assert dataset.test_filter is not None
    assert dataset.test_filter.shape == (0, 2)
    assert (dataset.propensity_a, dataset.propensity_b) == (0.55, 1.5)
    (folder / "tst.json").unlink()
    assert read_dataset(locate(str(folder), [])).test is None


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("test.txt", "1 5 2\n1 2:1\n", "4 features, as in training"),
        ("test.txt", "1 4 3\n1 2:1\n", "2 labels, as in training"),
        ("labels.txt", "only one\n", "2, one a name"),
        ("filter_labels_test.txt", "0 1\n0 2\nx\n", "2 problems\nline 2: expected a row below 1 and a label below 2"),
    ],
)
def test_files_that_contradict_each_other_are_refused(tmp_path: Path, file: str, text: str, message: str) -> None:
    folder = bag_of_words(tmp_path / "one")
    (folder / file).write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_dataset(locate(str(folder), []))


def test_known_collection_that_is_absent_says_which_files_go_where(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="EURLex-4K is known but not on this machine") as caught:
        locate("eurlex", [tmp_path / "data"])
    message = str(caught.value)
    for part in (str(tmp_path / "data" / "eurlex"), "train.txt", "XMLRepository", "--dataset demo", "15,539"):
        assert part in message


def test_unknown_name_lists_near_ones(tmp_path: Path) -> None:
    bag_of_words(tmp_path / "gutenberg-lcsh")
    with pytest.raises(DatasetError, match="did you mean gutenberg-lcsh"):
        locate("gutenburg", [tmp_path])
    with pytest.raises(DatasetError, match=r"expected: demo, gutenberg-lcsh, a published collection"):
        locate("qqqq", [tmp_path])


def test_folder_without_layout_and_missing_path_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("")
    with pytest.raises(DatasetError, match=r"trn\.json\.gz[\s\S]*train\.txt[\s\S]*found: notes\.md"):
        locate(f"{tmp_path}/", [])
    with pytest.raises(DatasetError, match="nothing there"):
        locate(str(tmp_path / "absent"), [])
    with pytest.raises(DatasetError, match="a file"):
        locate(str(tmp_path / "notes.md"), [])


def test_two_candidates_for_one_file_are_refused(tmp_path: Path) -> None:
    for name in ("a_train.txt", "b_train.txt"):
        (tmp_path / name).write_text("0 1 1\n")
    with pytest.raises(DatasetError, match=r"a_train\.txt, b_train\.txt"):
        locate(f"{tmp_path}/", [])


def test_data_folders_come_from_root_from_here_and_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "there"
    there.mkdir()
    monkeypatch.chdir(tmp_path)
    root, here = tmp_path / "root", Path("data")
    assert data_folders(root, {}) == [root / "data", here]
    assert data_folders(tmp_path, {}) == [tmp_path / "data"]
    assert data_folders(root, {"XMLCLI_DATA": f"{there}{os.pathsep}"}) == [root / "data", here, there]
    with pytest.raises(DatasetError, match="XMLCLI_DATA"):
        data_folders(root, {"XMLCLI_DATA": f"{there}{os.pathsep}{tmp_path / 'absent'}"})


def test_names_of_published_collections_are_distinct() -> None:
    names = [simplified(name) for known in KNOWN_DATASETS for name in known.names]
    assert len(names) - len(set(names)) == sum(  # short names that only drop the punctuation are allowed
        simplified(short) == simplified(known.name) for known in KNOWN_DATASETS for short in known.short_names
    )


def test_a_home_that_is_nobodys_is_told() -> None:
    with pytest.raises(DatasetError, match="no home folder"):
        locate("~nobody-of-that-name/x", [])
    with pytest.raises(DatasetError, match="no home folder"):
        data_folders(Path(), {"XMLCLI_DATA": "~nobody-of-that-name"})
