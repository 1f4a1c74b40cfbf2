"""Parse the bag-of-words layout line by line: slow, lenient about spaces, and exact about what is wrong where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xmlcli.datasets.formats.problems import FileProblems

MOST_DIGITS = 15  # a float64 holds every integer of so many digits
MOST_IDS = 2**31 - 1  # of features or labels: int32 holds them
LARGEST_VALUE = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Header:
    """First line of a file: documents, features, labels; `noun` is what a pair `id:value` names.

    Where a file has no such line, `num_documents` is None and the other two are the largest ids that can be stored.
    """

    num_documents: int | None
    num_features: int
    num_labels: int
    noun: str = "feature"


@dataclass(frozen=True)
class ParsedRows:
    """Some documents: int64 (n,) counts of labels and of features, int32 ids, float32 values, one after another."""

    label_counts: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int32]
    feature_counts: npt.NDArray[np.int64]
    features: npt.NDArray[np.int32]
    values: npt.NDArray[np.float32]

    def first(self, num_rows: int) -> ParsedRows:
        """Return the first rows only."""
        label_counts, feature_counts = self.label_counts[:num_rows], self.feature_counts[:num_rows]
        num_labels, num_features = int(label_counts.sum()), int(feature_counts.sum())
        return ParsedRows(
            label_counts,
            self.labels[:num_labels],
            feature_counts,
            self.features[:num_features],
            self.values[:num_features],
        )


def parse_lines(block: bytes, first_line: int, header: Header, problems: FileProblems) -> ParsedRows:
    """Parse whole lines one by one and note what is wrong; wrong entries are left out."""
    label_counts: list[int] = []
    labels: list[int] = []
    feature_counts: list[int] = []
    features: list[int] = []
    values: list[float] = []
    for number, line in enumerate(block.decode("latin-1").split("\n")[:-1], start=first_line):
        fields = line.split()
        has_labels = bool(header.num_labels and fields) and ":" not in fields[0]
        row_labels = _parse_labels(fields[0], number, header, problems) if has_labels else []
        row = _parse_features(fields[has_labels:], number, header, problems)
        label_counts.append(len(row_labels))
        labels.extend(row_labels)
        feature_counts.append(len(row))
        features.extend(row.keys())
        values.extend(row.values())
    return ParsedRows(
        np.array(label_counts, dtype=np.int64),
        np.array(labels, dtype=np.int32),
        np.array(feature_counts, dtype=np.int64),
        np.array(features, dtype=np.int32),
        np.array(values, dtype=np.float32),
    )


def _parse_labels(field: str, number: int, header: Header, problems: FileProblems) -> list[int]:
    labels = []
    for text in field.split(","):
        label = _parse_id(text, header.num_labels)
        if label is None:
            problems.add(number, f"a label id below {header.num_labels:,}", repr(text))
        else:
            labels.append(label)
    return labels


def _parse_features(fields: list[str], number: int, header: Header, problems: FileProblems) -> dict[int, float]:
    row: dict[int, float] = {}
    for field in fields:
        text, _, value_text = field.partition(":")
        feature, value = _parse_id(text, header.num_features), _parse_value(value_text)
        if feature is None:
            expected = f"{header.noun}:value with a {header.noun} id below {header.num_features:,}"
            problems.add(number, expected, repr(field))
        elif value is None:
            problems.add(number, f"{header.noun}:value with a finite value", repr(field))
        elif feature in row:
            problems.add(number, f"each {header.noun} once", f"{feature} again in {field!r}")
        else:
            row[feature] = value
    return row


def _parse_id(text: str, limit: int) -> int | None:
    """An id below `limit`, or None."""
    if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
        return None
    return int(text) if int(text) < limit else None


def _parse_value(text: str) -> float | None:
    """Return a number that float32 holds, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) <= LARGEST_VALUE else None
