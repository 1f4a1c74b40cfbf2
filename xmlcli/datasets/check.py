"""Look at a table before training: what in it is empty, twice or divided wrongly. Imports nothing slow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from xmlcli.datasets.formats.problems import FileProblems, TableColumns
from xmlcli.datasets.formats.records import column_names, labels_of, records, text_of
from xmlcli.errors import DatasetError
from xmlcli.progress import Progress, silent

SEPARATORS = (";", "|", "\t", ",")
_FIRST_ROWS = 1_000
_FEWEST_CELLS = 2
_LARGE_SHARE = 0.3
_LABEL_NAMES = ("labels", "subjects", "subject", "tags", "keywords", "categories", "topics", "genres", "label")


@dataclass(frozen=True)
class TableReport:
    """What is in a table.

    Attributes:
        rows: how many were read; `is_whole`: whether these are all.
        without_text, without_labels: rows.
        repeated: rows whose text an earlier row has.
        labels, seen_once: how many labels there are, and how many of them are in one row alone.
        pairs: labels of all rows together.
        variants: groups of labels that differ by case or space alone.
        cells: labels cells that are a text, not empty and no list.
        holding: sign of `SEPARATORS` or separator → how many of those cells hold it.
        likely: the separator that the labels seem to have where it is not the one given.
    """

    rows: int
    is_whole: bool
    without_text: int
    without_labels: int
    repeated: int
    labels: int
    seen_once: int
    pairs: int
    variants: list[tuple[str, ...]]
    cells: int
    holding: dict[str, int]
    likely: str | None


def check_table(
    path: Path, columns: TableColumns, *, most: int | None = None, progress: Progress = silent
) -> TableReport:
    """Read the first `most` rows of a table, or all, and return what is in them.

    Raises:
        DatasetError: a column is missing, or lines are malformed.
    """
    problems, texts = FileProblems(path), column_names(columns.text)
    rows = without_text = without_labels = repeated = 0
    seen, counts, cells, is_whole = set[int](), Counter[str](), Counter[str](), True
    for number, record in records(path, (*texts, columns.labels), problems, progress):
        if rows == most:
            is_whole = False
            break
        text = text_of(record, texts, number, problems)
        value = record.get(columns.labels)
        labels = labels_of(value, columns, number, problems)
        if text is None or labels is None:
            continue
        rows += 1
        counts.update(set(labels))
        without_text += not text.strip()
        without_labels += not labels
        if text.strip():
            repeated += hash(text) in seen
            seen.add(hash(text))
        if isinstance(value, str) and value.strip() and value[:1] != "[":
            cells[value] += 1
    problems.raise_if_any()
    holding = {sign: sum(n for cell, n in cells.items() if sign in cell) for sign in (*SEPARATORS, columns.separator)}
    return TableReport(
        rows, is_whole, without_text, without_labels, repeated, len(counts),
        sum(1 for count in counts.values() if count == 1), counts.total(), _variants(counts),
        cells.total(), holding, _likely(cells, holding, columns.separator),
    )  # fmt: skip


def check_separator(path: Path, report: TableReport, columns: TableColumns) -> None:
    """Raise DatasetError where the labels seem to be divided at another sign than the one given."""
    sign, given = report.likely, columns.separator
    if sign is None:
        return
    held = report.holding[given]
    found = f"{held:,} labels cells hold {given!r}" if held else f"no labels cell holds {given!r}"
    raise DatasetError(
        f"{path}: {found}, {report.holding[sign]:,} of {report.cells:,} hold {sign!r}; "
        f"did you mean --label-separator {shown_sign(sign)}?",
        remedy="say so, or train with --no-check if these are whole labels",
    )


def shown_sign(sign: str) -> str:
    """Return a separator as a shell takes it."""
    return "$'\\t'" if sign == "\t" else f"'{sign}'"


def guess_columns(path: Path, given: TableColumns, *, text_given: bool, labels_given: bool) -> TableColumns:
    """Return the columns of a table that seem to hold text and labels, where those given are not there.

    text_given, labels_given: whether the user named them, so that they are not guessed.

    Raises:
        DatasetError: the table is malformed, or too narrow.
    """
    problems, rows = FileProblems(path), []
    for _, record in records(path, (), problems, silent, others=None):
        rows.append(record)
        if len(rows) == _FIRST_ROWS:
            break
    names = list(dict.fromkeys(name for row in rows for name in row))
    lengths = {name: [len(v) for row in rows if isinstance(v := row.get(name), str)] for name in names}
    labels, text = given.labels, given.text
    if not labels_given and labels not in names and names:
        by_name = [name for name in names if name.strip().lower() in _LABEL_NAMES]
        divided = {name: _share_divided(row.get(name) for row in rows) for name in names}
        labels = by_name[0] if by_name else max(names, key=lambda name: divided[name])
    if not text_given and text not in names:
        others = {name: sum(found) for name, found in lengths.items() if name != labels and found}
        text = max(others, key=lambda name: others[name]) if others else text
    return TableColumns(text, labels, given.separator)


def _share_divided(values: Iterable[object]) -> float:
    """Return the share of values that are lists or hold a separator and recur in parts."""
    found = list(values)
    texts = [value for value in found if isinstance(value, str) and value.strip()]
    lists = sum(isinstance(value, list) or (isinstance(value, str) and value[:1] == "[") for value in found)
    best = 0.0
    for sign in SEPARATORS[:3]:
        held = [text for text in texts if sign in text]
        parts = {part.strip() for text in held for part in text.split(sign)}
        pieces = sum(text.count(sign) + 1 for text in held)
        best = max(best, len(held) / max(len(found), 1) * (1 - len(parts) / max(pieces, 1)))
    return max(best, lists / max(len(found), 1))


def _variants(counts: Counter[str]) -> list[tuple[str, ...]]:
    """Return groups of labels that differ by case or space alone, the most frequent first."""
    groups: dict[str, list[str]] = {}
    for label in counts:
        groups.setdefault("".join(label.casefold().split()), []).append(label)
    several = [tuple(sorted(group, key=lambda label: -counts[label])) for group in groups.values() if len(group) > 1]
    return sorted(several, key=lambda group: -sum(counts[label] for label in group))


def _likely(cells: Counter[str], holding: dict[str, int], given: str) -> str | None:
    """Return the separator that the cells seem to have where it is not the one given.

    The comma stands in labels too: it is one only where no cell holds the one given, and cells fall into fewer
    different parts than there are different cells, as labels recur. Of other signs it is enough that a large share of
    the cells holds them, or that there are no more parts than cells.
    """
    several = [sign for sign in SEPARATORS if sign != given and holding[sign] >= _FEWEST_CELLS]
    if holding[given]:
        share = _LARGE_SHARE * cells.total()
        several = [sign for sign in several if sign != "," and holding[sign] > max(share, holding[given] / 2)]
    elif large := [sign for sign in several if sign != "," and holding[sign] > _LARGE_SHARE * cells.total()]:
        return max(large, key=lambda sign: holding[sign])
    best = max(several, key=lambda sign: holding[sign], default=None)
    if best is None:
        return None
    parts = {part.strip() for cell in cells for part in cell.split(best)}
    now = {part.strip() for cell in cells for part in cell.split(given)}
    return best if len(parts) < len(now) + (best != ",") else None
