"""How a table is read, and how a reader reports a malformed file. Imports nothing slow."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from xmlcli.errors import DatasetError

SHOWN_PROBLEMS = 10
SAVE_AS_UTF8 = "save it as UTF-8 (in Excel: CSV UTF-8), or: iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW"


@dataclass(frozen=True)
class TableColumns:
    """How a table (CSV, JSONL, Parquet) is read.

    Attributes:
        text: name of the column with the text, or several names separated by commas, whose texts are joined.
        labels: name of the column with the labels.
        separator: what separates the labels of a document where they are one text and no list.
        group: name of the column that tells which documents belong together, or None.
    """

    text: str = "text"
    labels: str = "labels"
    separator: str = ";"
    group: str | None = None


class FileProblems:
    """Collects what is wrong with one file, to be told at once: all are counted, the first ten shown.

    `unit` is what the numbers count: lines of a text, rows of a matrix.
    """

    def __init__(self, path: Path, unit: str = "line") -> None:
        self.path = path
        self.unit = unit
        self.count = 0
        self._shown: list[str] = []
        self._remedies: dict[str, None] = {}

    def add(self, line: int, expected: str, found: str, remedy: str | None = None) -> None:
        """Note one problem; `line` counts units from 1, the text is cut to a readable length. `remedy` is told once."""
        self.count += 1
        if remedy:
            self._remedies[remedy] = None
        if len(self._shown) < SHOWN_PROBLEMS:
            cut = found if len(found) <= 80 else f"{found[:77]}..."
            self._shown.append(f"{self.unit} {line}: expected {expected}, found {cut}")

    def told(self) -> str:
        """Return what was noted, in one line."""
        return "; ".join(self._shown)

    def raise_if_any(self) -> None:
        """Raise one DatasetError for all that was noted; do nothing where all is well."""
        if not self.count:
            return
        noun = "problem" if self.count == 1 else "problems"
        more = f"\n({self.count - SHOWN_PROBLEMS:,} more)" if self.count > SHOWN_PROBLEMS else ""
        told = f"{self.path}: {self.count:,} {noun}\n" + "\n".join(self._shown) + more
        raise DatasetError(told, remedy="; ".join(self._remedies))


def missing_columns(path: Path, wanted: tuple[str, ...], names: list[str]) -> DatasetError:
    """Return the error of a table that lacks columns of those `wanted` and has the columns `names`."""
    missing = [name for name in wanted if name not in names] or list(wanted)
    near = dict.fromkeys(near for name in missing for near in difflib.get_close_matches(name, names, n=1))
    meant = f", did you mean {' and '.join(map(repr, near))}?" if near else ""
    return DatasetError(
        f"{path}: no column {' and no column '.join(map(repr, missing))}{meant}",
        found=f"columns {', '.join(map(repr, names[:20]))}" if names else "an empty file",
        remedy="name them with --text-column and --labels-column (and --group-column, where documents have groups)",
    )
