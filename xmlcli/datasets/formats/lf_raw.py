"""Read the repository's raw-text layout: one JSON object a line, plain or gzip.

* `trn.json`, `tst.json`: a document: `title`, `content` (may be absent or empty), `target_ind` (label ids).
* `lbl.json`: a label: `title`; the line's number, from 0, is the label's id. Some collections have `Yf.txt` in its
  place, a name a line.

Relevances (`target_rel`) are not read: every label named is relevant. A filter file of the training split, where
there is one, is not read either: training pairs are not filtered.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson

from xmlcli.datasets.formats.problems import FileProblems
from xmlcli.datasets.formats.raw import RawSplit, label_matrix, without_mark
from xmlcli.datasets.formats.streams import numbered_lines
from xmlcli.progress import Progress, silent


def read_split(
    path: Path, num_labels: int, *, max_documents: int | None = None, progress: Progress = silent
) -> RawSplit:
    """Read `trn.json` or `tst.json`.

    Args:
        path: the file, gzip where its name ends in `.gz`.
        num_labels: lines of `lbl.json`.
        max_documents: take only so many of the first documents; the rest is not read.
        progress: told bytes of the file read and in all.

    Returns:
        texts (title, a space, content) and Y (N, num_labels).

    Raises:
        DatasetError: the file is malformed; all its problems are counted, the first ten shown.
    """
    problems = FileProblems(path)
    texts: list[str] = []
    counts: list[int] = []
    labels: list[int] = []
    for number, line in numbered_lines(path, max_documents, progress):
        record = _parse(line, number, problems)
        if record is None:
            continue
        text, targets = _text(record), record.get("target_ind")
        if text is None:
            problems.add(number, "text under the keys title and content, title present", _shown(record))
        elif type(targets) is not list or not {int}.issuperset(map(type, targets)):
            problems.add(number, "a list of label ids under the key target_ind", _shown(record))
        elif targets and not (min(targets) >= 0 and max(targets) < num_labels):
            wrong = next(label for label in targets if not 0 <= label < num_labels)
            problems.add(number, f"target_ind with label ids below {num_labels:,}", str(wrong))
        else:
            texts.append(text)
            counts.append(len(targets))
            labels += targets
    problems.raise_if_any()
    Y = label_matrix(np.array(counts, dtype=np.int64), np.array(labels, dtype=np.int32), num_labels)
    return RawSplit(texts, None, Y)


def read_label_names(path: Path) -> list[str]:
    """Return the titles of the labels in the order of their ids, from `lbl.json` or `Yf.txt`.

    Raises:
        DatasetError: the file is malformed.
    """
    problems = FileProblems(path)
    names: list[str] = []
    if path.suffix == ".txt":
        return [_name(without_mark(line, number)) for number, line in numbered_lines(path, None, silent)]
    for number, line in numbered_lines(path, None, silent):
        record = _parse(line, number, problems)
        if record is None:
            continue
        title = record.get("title")
        if isinstance(title, str):
            names.append(title)
        else:
            problems.add(number, "text under the key title", _shown(record))
    problems.raise_if_any()
    return names


def _name(line: bytes) -> str:
    """Return a line of `Yf.txt`; the published files are Latin-1 where they are not UTF-8."""
    try:
        return line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        return line.decode("latin-1").rstrip("\r\n")


def _parse(line: bytes, number: int, problems: FileProblems) -> dict[str, object] | None:
    """Return the JSON object of a line, or note what it is instead and return None."""
    try:
        record = orjson.loads(without_mark(line, number))
    except orjson.JSONDecodeError as error:
        problems.add(number, "a JSON object", f"{_start(line)} ({error})")
        return None
    if type(record) is dict:
        return record
    problems.add(number, "a JSON object", _start(line))
    return None


def _text(record: dict[str, object]) -> str | None:
    """Return title and content of a document, or None if they are no text."""
    title, content = record.get("title"), record.get("content", "")
    if type(title) is not str or type(content) is not str:
        return None
    return f"{title} {content}" if content else title


def _shown(record: dict[str, object]) -> str:
    """Return a short description of what a record holds."""
    return ", ".join(f"{key}: {type(value).__name__}" for key, value in record.items()) or "an empty object"


def _start(line: bytes) -> str:
    """Return the beginning of a line, made printable."""
    return repr(line[:40].decode("utf-8", "replace").rstrip("\n"))
