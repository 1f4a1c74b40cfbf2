"""The list of changes is one that can be made, and the driver tells what is noticed from what is not."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from reliability import mutate
from reliability.changes import LIST, Change, StaleListError, read_changes
from reliability.mutate import Copy, run
from support.paths import PROJECT

CHANGES = read_changes(LIST.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", sorted({change.path for change in CHANGES}))
def test_every_change_can_be_made_and_leaves_a_program(path: str) -> None:
    text = (PROJECT / path).read_text(encoding="utf-8")
    for change in (change for change in CHANGES if change.path == path):
        made = change.made(text)
        assert made != text, change
        ast.parse(made)
        missing = [name for name in change.tests if not (PROJECT / name.partition("::")[0]).is_file()]
        assert not missing, change


def test_the_list_is_long_enough_has_no_change_twice_and_leaves_out_no_package() -> None:
    assert len(CHANGES) >= 150
    assert len({(change.path, change.old, change.new) for change in CHANGES}) == len(CHANGES)
    packages = {str(path.parent.relative_to(PROJECT)) for path in (PROJECT / "xmlcli").rglob("__init__.py")}
    assert {change.package for change in CHANGES} == packages


SUMS = """
def total(a, b):
    return a + b


def half(a):
    return a // 2
"""
TEST = """
from xmlcli.sums import half, total


def test_sums():
    assert total(1, 2) == 3
    assert half(4) == 2
"""
LISTED = """
# a list

file a.py
tests t.py u.py::test

# why
- x
-
-   y
+   z

- gone
+

file b.py
tests v.py

- 1
+ 2
"""


def a_tree(folder: Path) -> Path:
    (folder / "xmlcli").mkdir(parents=True)
    (folder / "xmlcli" / "__init__.py").touch()
    (folder / "xmlcli" / "sums.py").write_text(SUMS)
    (folder / "tests").mkdir()
    (folder / "tests" / "test_sums.py").write_text(TEST)
    return folder


def test_what_the_tests_notice_is_told_from_what_they_do_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tests = ("tests/test_sums.py",)
    wrong, rounded, endless = (
        Change("xmlcli/sums.py", tests, "a + b", "a - b"),
        Change("xmlcli/sums.py", tests, "a // 2", "round(a / 2)"),
        Change("xmlcli/sums.py", tests, "    return a + b", "    while a:\n        pass"),
    )
    copy = Copy(a_tree(tmp_path / "tree"), tmp_path / "copy", ["pytest"])
    assert {found.change: found.noticed for found in run([wrong, rounded], [copy], show=False)} == {
        wrong: True, rounded: False,
    }  # fmt: skip
    assert "SURVIVED" in capsys.readouterr().out
    assert (copy.root / "xmlcli" / "sums.py").read_text() == (tmp_path / "tree" / "xmlcli" / "sums.py").read_text()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mutate, "_LEAST_SECONDS", 2.0)
        assert copy.outcome(endless, 0.1).noticed
    copy.close()


@pytest.mark.parametrize(
    ("old", "test", "said"),
    [
        ("a", "def test_sums():\n    pass\n", "times: a"),
        ("a + b", "def test_sums():\n    assert False\n", "fail without a change"),
    ],
)
def test_a_stale_list_is_an_error(tmp_path: Path, old: str, test: str, said: str) -> None:
    tree = a_tree(tmp_path / "tree")
    (tree / "tests" / "test_sums.py").write_text(test)
    copy = Copy(tree, tmp_path / "copy", ["pytest"])
    with pytest.raises(StaleListError, match=said):
        run([Change("xmlcli/sums.py", ("tests/test_sums.py",), old, "c")], [copy], show=False)
    copy.close()


def test_a_list_says_file_tests_old_and_new() -> None:
    assert read_changes(LISTED) == [
        Change("a.py", ("t.py", "u.py::test"), "x\n\n  y", "  z"),
        Change("a.py", ("t.py", "u.py::test"), "gone", ""),
        Change("b.py", ("v.py",), "1", "2"),
    ]
    for wrong in ("- x\n+ y\n", "file a.py\n\n- x\n+ y\n", "file a.py\ntests t.py\n\n+ y\n", "file a.py\nwhat\n"):
        with pytest.raises(StaleListError):
            read_changes(wrong)
