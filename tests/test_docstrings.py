"""Names of the program in docstrings exist: modules, their symbols, the attributes of classes, the keys of settings."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from support.paths import PROJECT

SOURCES = sorted((PROJECT / "xmlcli").rglob("*.py"))
DOTTED = re.compile(r"`([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+)(?:\([^`]*\))?`")
CLASS = re.compile(r"`([A-Z][a-z]\w*[a-z]\w*)`")
CALL = re.compile(r"`([a-z_]\w*)\([^`]*\)`")
SUFFIXES = {"csv", "gz", "json", "npy", "npz", "py", "safetensors", "tsv", "txt"}


class Names(NamedTuple):
    """What a module or class offers, by the name of its last part."""

    of_modules: dict[str, set[str]]
    of_classes: dict[str, set[str]]


def bound(node: ast.AST) -> Iterator[str]:
    """Yield the names that a statement binds."""
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
            yield name
        case ast.Assign():
            stored = (each for each in ast.walk(node) if isinstance(each, ast.Name) and type(each.ctx) is ast.Store)
            yield from (each.id for each in stored)
        case ast.ImportFrom() | ast.Import():
            yield from (alias.asname or alias.name for alias in node.names)
        case ast.If():  # imports for type checking
            yield from (name for child in node.body for name in bound(child))


def members(node: ast.ClassDef) -> set[str]:
    of_self = {
        each.attr
        for each in ast.walk(node)
        if isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name) and each.value.id == "self"
    }
    return of_self | {name for child in node.body for name in bound(child)}


@cache
def names() -> Names:
    found = Names({"xmlcli": {path.name for path in (PROJECT / "xmlcli").iterdir()}}, {})
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        module = path.parent if path.stem == "__init__" else path.with_suffix("")
        held = found.of_modules.setdefault(module.name, set())
        held |= {name for child in tree.body for name in bound(child)}
        if path.stem == "__init__":
            held |= {inner.stem for inner in path.parent.iterdir()}
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                found.of_classes.setdefault(node.name, set()).update(members(node))
    return found


def docstrings(path: Path) -> Iterator[str]:
    """Yield the docstrings of a file, those below constants and fields too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and type(node.value.value) is str:
            yield node.value.value


def parameters(path: Path) -> set[str]:
    """Return the names of all parameters in a file, which docstrings also put into backticks."""
    return {node.arg for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.arg)}


def offered(owner: str) -> set[str]:
    """Return what modules and classes of that name offer: `clf` is also the section of `ClfConfig`, `job` a `Job`."""
    known, title = names(), owner.capitalize()
    held = [known.of_modules.get(owner, set())]
    held += [known.of_classes.get(name, set()) for name in (owner, title, f"{title}Config")]
    return set().union(*held)


def is_known(dotted: str) -> bool:
    """Whether a dotted name exists, or is not about the program: its owner is neither a module nor a class of it."""
    known, (*path, symbol) = names(), dotted.split(".")
    owner = path[-1]
    if symbol in SUFFIXES:
        return True
    if path[0] == "xmlcli" and len(path) > 1 and not is_known(".".join(path)):
        return False
    is_ours = owner in known.of_modules or owner in known.of_classes
    return symbol in offered(owner) if is_ours else path[0] != "xmlcli"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_names_in_docstrings_exist(path: Path) -> None:
    known = names()
    symbols = set().union(*known.of_modules.values(), *known.of_classes.values(), dir(builtins))
    variables = parameters(path)
    unknown = []
    for text in docstrings(path):
        unknown += [name for name in DOTTED.findall(text) if not is_known(name) and name.split(".")[0] not in variables]
        unknown += [name for name in CLASS.findall(text) if name not in symbols]
        unknown += [name for name in CALL.findall(text) if name not in symbols | variables]
    assert not unknown


def test_no_docstring_names_the_method_notes_which_nobody_has() -> None:
    assert [str(path) for path in SOURCES if "method notes" in path.read_text().lower()] == []


@pytest.mark.parametrize(
    ("name", "exists"),
    [
        ("xmlcli.storage.kinds", True),
        ("xmlcli.storage.nothing", False),
        ("kinds.KINDS", True),
        ("kinds.nothing", False),
        ("Artifact.verify_content", True),
        ("Artifact.nothing", False),
        ("scipy.sparse.load_npz", True),
        ("prepare.max_documents", True),
    ],
)
def test_the_check_tells_names_that_exist_from_others(name: str, exists: bool) -> None:
    assert is_known(name) == exists
