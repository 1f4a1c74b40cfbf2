"""`xmlcli check`, and its short form at the start of a training."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xmlcli.cli.say import say, tell

if TYPE_CHECKING:
    from xmlcli.datasets.check import TableReport
    from xmlcli.datasets.find import DatasetFolder
    from xmlcli.datasets.formats.problems import TableColumns

_FIRST_ROWS = 20_000
_SHOWN_VARIANTS = 3


def check_cli(
    source: Annotated[str, typer.Argument(metavar="FILE", help="A table: CSV, TSV, Excel, JSONL or Parquet.")],
    text_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="The column with the text. Several: A,B. Default: found.")
    ] = None,
    labels_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="The column with the labels. Default: found.")
    ] = None,
    label_separator: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What separates labels there. Default: found.")
    ] = None,
) -> None:
    """Look at a table before training: what is in it, what is empty or twice, and which columns it seems to have.

    Example: xmlcli check books.csv
    """
    from xmlcli.datasets.find import locate
    from xmlcli.datasets.formats.layouts import TABLE
    from xmlcli.errors import DatasetError

    folder = locate(str(Path(source).resolve()) if Path(source).is_file() else source, [Path("data")])
    if folder.layout != TABLE:
        raise DatasetError(f"{source} is no table but {folder.layout}", expected="CSV, TSV, Excel, JSONL or Parquet")
    check(source, folder.files["train"], text_column, labels_column, label_separator)


def check(source: str, path: Path, text: str | None, labels: str | None, separator: str | None) -> None:
    """Print what is in a table, and the command that trains on it."""
    from xmlcli.datasets.check import check_table, guess_columns, shown_sign
    from xmlcli.datasets.formats.problems import TableColumns

    usual = TableColumns()
    given = TableColumns(text or usual.text, labels or usual.labels, separator or usual.separator)
    columns = guess_columns(path, given, text_given=text is not None, labels_given=labels is not None)
    report = check_table(path, columns)
    if separator is None and report.likely:
        columns = TableColumns(columns.text, columns.labels, report.likely)
        report = check_table(path, columns)
    say(f"{path.name}: text in {columns.text!r}, labels in {columns.labels!r}, separated by {columns.separator!r}")
    for name, value in _lines(report):
        say(f"  {name:<38} {value}")
    if report.likely:
        held = f"{report.holding[report.likely]:,} of {report.cells:,} labels cells hold {report.likely!r}"
        tell(f"{held}; did you mean --label-separator {shown_sign(report.likely)}?", "yellow")
    say(f"xmlcli train --dataset {shlex.quote(source)}{_options(columns, usual)}")


def check_at_start(folder: DatasetFolder, columns: TableColumns) -> None:
    """Look at the first rows of a table that is trained on, and say in a line what may be wrong.

    Raises DatasetError where its labels seem to be divided at another sign.
    """
    from xmlcli.datasets.check import check_separator, check_table

    path = folder.files["train"]
    report = check_table(path, columns, most=_FIRST_ROWS)
    check_separator(path, report, columns)
    found = [
        f"{report.without_text:,} without text" if report.without_text else "",
        f"{report.without_labels:,} without labels" if report.without_labels else "",
        f"{report.repeated:,} with a text that is there before" if report.repeated else "",
        f"{len(report.variants):,} labels in several spellings ({' / '.join(report.variants[0])})"
        if report.variants
        else "",
    ]
    if any(found):
        rows = f"{report.rows:,} rows" if report.is_whole else f"of the first {report.rows:,} rows"
        tell(f"{path.name}: {rows}, {', '.join(filter(None, found))}; xmlcli check {path.name} says more")


def _lines(report: TableReport) -> list[tuple[str, str]]:
    """Return what a report says, as names and values."""
    a_row = report.pairs / max(report.rows, 1)
    variants = "; ".join(" / ".join(group) for group in report.variants[:_SHOWN_VARIANTS])
    return [
        ("rows", f"{report.rows:,}"),
        ("without text", f"{report.without_text:,}"),
        ("without labels", f"{report.without_labels:,}"),
        ("with a text that an earlier row has", f"{report.repeated:,}"),
        ("labels", f"{report.labels:,}, {a_row:.2f} a row"),
        ("labels in one row alone", f"{report.seen_once:,}"),
        ("labels that differ by case or space", f"{len(report.variants):,}" + (f": {variants}" if variants else "")),
    ]


def _options(columns: TableColumns, usual: TableColumns) -> str:
    """Return the options that name columns which are not the usual ones."""
    named = {"--text-column": (columns.text, usual.text), "--labels-column": (columns.labels, usual.labels)}
    named["--label-separator"] = (columns.separator, usual.separator)
    return "".join(f" {option} {shlex.quote(value)}" for option, (value, other) in named.items() if value != other)
