"""Read the layout of AttentionXML: `train_texts.txt` and `train_labels.txt`, `test_...` likewise.

Each line is a text. The same line of the other file holds its labels: names without spaces, separated by spaces.
"""

from __future__ import annotations

from pathlib import Path

from xmlcli.datasets.formats.named import NamedFile, NamedRows, NameTable
from xmlcli.datasets.formats.problems import FileProblems
from xmlcli.datasets.formats.raw import check_rows
from xmlcli.datasets.formats.streams import text_lines
from xmlcli.progress import Progress, silent


def read_split(
    documents: Path, labels: Path, table: NameTable, *, max_documents: int | None = None, progress: Progress = silent
) -> NamedFile:
    """Read one split.

    Raises:
        DatasetError: a file is not UTF-8, or the two have different numbers of lines.
    """
    problems = FileProblems(documents)
    texts = text_lines(documents, max_documents, progress, problems)
    problems.raise_if_any()
    problems = FileProblems(labels)
    named = text_lines(labels, max_documents, progress, problems)
    problems.raise_if_any()
    check_rows(documents, len(texts), labels, len(named))
    rows = NamedRows(table)
    for text, line in zip(texts, named, strict=True):
        rows.add(text, line.split())
    return NamedFile(rows)
