"""Read tables with a column of text and a column of labels: the rows that `records` yields become documents."""

from __future__ import annotations

from pathlib import Path

from xmlcli.datasets.formats.named import NamedFile, NamedRows, NameTable
from xmlcli.datasets.formats.problems import FileProblems, TableColumns, missing_columns
from xmlcli.datasets.formats.records import column_names, labels_of, records, text_of
from xmlcli.progress import Progress, silent


def read_split(
    path: Path,
    columns: TableColumns,
    table: NameTable,
    *,
    max_documents: int | None = None,
    progress: Progress = silent,
) -> NamedFile:
    """Read one file.

    Args:
        path: the file; its suffix says which kind it is.
        columns: names of the columns, and what separates labels.
        table: collects the names of labels.
        max_documents: take only so many of the first documents.
        progress: told how much is read.

    Raises:
        DatasetError: a column is missing, or lines are malformed; all problems are counted, the first ten shown.
    """
    problems = FileProblems(path)
    rows = NamedRows(table)
    texts, group = column_names(columns.text), () if columns.group is None else (columns.group,)
    wanted, met = (*texts, columns.labels, *group), dict[str, None]()
    for number, record in records(path, wanted, problems, progress):
        met.update(dict.fromkeys(record))
        text = text_of(record, texts, number, problems)
        labels = labels_of(record.get(columns.labels), columns, number, problems)
        if text is not None and labels is not None:
            rows.add(text, labels)
            if columns.group is not None:
                rows.add_group(_group(record.get(columns.group)))
        if len(rows) == max_documents:
            break
    if met and not set(wanted) <= met.keys():  # of JSON, whose objects need not all have the same keys
        raise missing_columns(path, wanted, list(met))
    problems.raise_if_any()
    return NamedFile(rows)


def _group(value: object) -> str:
    """Return the name of a document's group, empty where the record has none."""
    return "" if value is None else str(value).strip()
