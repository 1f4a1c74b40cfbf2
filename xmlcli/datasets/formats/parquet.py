"""Read the rows of a Parquet file, where pyarrow is installed."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from xmlcli.datasets.formats.problems import missing_columns
from xmlcli.errors import DatasetError
from xmlcli.progress import Progress


def parquet_records(
    path: Path, wanted: tuple[str, ...], others: Collection[str] | None, progress: Progress
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the rows, numbered from 1, with the columns `wanted` and those of `others` that are there; None for all.

    Raises:
        DatasetError: pyarrow is not installed, a column is missing, or the file is damaged.
    """
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise DatasetError(
            f"{path}: Parquet files need the package pyarrow",
            remedy="pip install 'xmlcli[parquet]', or save the table as CSV or JSONL",
        ) from error
    number = 0
    try:
        file = parquet.ParquetFile(path)
        names = list(file.schema_arrow.names)
        if not set(wanted) <= set(names):
            raise missing_columns(path, wanted, names)
        read = names if others is None else [name for name in names if name in wanted or name in others]
        for batch in file.iter_batches(columns=read):
            for record in batch.to_pylist():
                number += 1
                yield number, record
            progress(f"read {path.name}", number, file.metadata.num_rows)
    except (OSError, ValueError, NotImplementedError, TypeError, LookupError) as error:  # of which pyarrow's own are
        raise DatasetError(f"{path}: damaged Parquet file", found=str(error)) from error
