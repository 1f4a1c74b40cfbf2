"""`xmlcli compare`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xmlcli.errors import UsageError

if TYPE_CHECKING:
    from xmlcli.comparison.bootstrap import Difference
    from xmlcli.comparison.systems import System, Truth
    from xmlcli.comparison.tables import Table
    from xmlcli.metrics import Metric
    from xmlcli.progress import Progress

_K = 5  # of the recall by frequency, and of the documents that changed
_METRICS = ("P@1", "P@3", "P@5", "PSP@1", "PSP@3", "PSP@5")
_MOST_NAMES = 200  # letters of a cell of label names


def compare_cli(
    systems: Annotated[
        list[str], typer.Argument(metavar="A B ...", help="Runs by name, or files of another system's predictions.")
    ],
    metric: Annotated[
        list[str] | None, typer.Option("--metric", "-m", metavar="NAME@K", help="P, nDCG, PSP, PSnDCG or R. Repeats.")
    ] = None,
    truth: Annotated[
        str | None, typer.Option(metavar="NAME|PATH", help="The dataset, where all systems are files.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print tables for a page of Markdown.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="Print tables for LaTeX, with booktabs.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print the differences as CSV.")] = False,
    documents: Annotated[int, typer.Option(min=0, help="How many of the documents that changed most to show.")] = 5,
    draws: Annotated[int, typer.Option(min=100, max=1_000_000, help="Draws of the bootstrap.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws.")] = 0,
    root: Annotated[Path, typer.Option(help="Where the runs lie.")] = Path(),
) -> None:
    """Compare runs, or other systems' predictions, on the same test documents.

    Every system is set beside the first one: both figures, the difference, its 95 % interval and a p-value, by a
    paired bootstrap over documents. The p-values are corrected for their number (Holm). Then follow the recall of
    labels by their number of training documents, and the documents that changed most.

    \b
    Example: xmlcli compare demo demo-fast
             xmlcli compare eurlex theirs.npz --metric psp@5 --markdown
    """
    from xmlcli.metrics import parse_metric

    formats = [name for name, wanted in (("markdown", markdown), ("latex", latex), ("csv", csv)) if wanted]
    if len(formats) > 1:
        raise UsageError(f"--{' and --'.join(formats)}", expected="one format")
    if len(systems) < 2:
        raise UsageError("one system is no comparison", expected="two or more", remedy="xmlcli compare RUN OTHER")
    metrics = [parse_metric(text) for text in metric or _METRICS]
    ranked, on = _read(systems, truth, root, max(_K, *(m.k for m in metrics)))
    tables = [*_differences(ranked, on, metrics, draws, seed)]
    if not csv:
        tables += [_by_frequency(ranked, on), *_changes(ranked, on, documents)]
    for number, table in enumerate(tables):
        _show(table, *formats, first=number == 0)


def _read(names: Sequence[str], truth: str | None, root: Path, depth: int) -> tuple[list[System], Truth]:
    """Return the systems, and what all of them are measured on. Raises UsageError where that is not the same."""
    from xmlcli.cli.display import display

    with display() as shown:
        runs = {name: _read_run(name, root) for name in names if not Path(name).is_file()}
        if truth is not None:
            named, on = truth, _read_truth(truth, root, shown.progress)
        elif runs:
            named, on = next((name, of_run) for name, (_, of_run) in runs.items())
        else:
            raise UsageError("the dataset of these predictions is not known", expected="--truth NAME, or a run")
        for name, (system, of_run) in runs.items():
            _check(name, system, of_run, named, on, depth)
        return [
            runs[name][0] if name in runs else _read_predictions(Path(name), on, depth, shown.progress)
            for name in names
        ], on


def _read_run(name: str, root: Path) -> tuple[System, Truth]:
    from xmlcli.runs.rankings import read_ranking
    from xmlcli.runs.snapshot import through
    from xmlcli.storage.workspace import Workspace, check_name

    return through(Workspace(root, check_name(name, "run")), read_ranking)


def _read_truth(name: str, root: Path, progress: Progress) -> Truth:
    import numpy as np

    from xmlcli.comparison.systems import Truth
    from xmlcli.datasets.find import data_folders, locate
    from xmlcli.datasets.load import read_dataset
    from xmlcli.metrics import inverse_propensity

    dataset = read_dataset(locate(name, data_folders(root)), progress=progress)
    if dataset.test is None or not dataset.test.Y.shape[0]:
        raise UsageError(f"{name} has no test documents to compare on", expected="a dataset with a test file")
    weights = inverse_propensity(dataset.train.Y, dataset.propensity_a, dataset.propensity_b)
    frequencies = np.asarray(dataset.train.Y.getnnz(axis=0), np.int64)
    return Truth(dataset.test.Y, weights, frequencies, dataset.label_names, dataset.test_filter)


def _read_predictions(path: Path, on: Truth, depth: int, progress: Progress) -> System:
    from xmlcli.comparison.systems import System
    from xmlcli.datasets.predictions import rank_predictions, read_predictions

    scores = read_predictions(path, *on.Y.shape, progress=progress)
    return System(path.name, rank_predictions(scores, depth, on.test_filter))


def _check(name: str, system: System, of_run: Truth, named: str, on: Truth, depth: int) -> None:
    """Raise UsageError where a run was measured on something else, or kept too few labels of each document."""
    if not of_run.same_as(on):
        counts = [f"{t.Y.shape[0]:,} documents, {t.Y.nnz:,} labels of {t.Y.shape[1]:,}" for t in (on, of_run)]
        raise UsageError(
            f"{name} and {named} were not measured on the same test documents",
            expected=f"those of {named}: {counts[0]}",
            found=counts[1] if counts[0] != counts[1] else "as many, with other labels",
        )
    if system.top.shape[1] < depth:
        raise UsageError(
            f"{name} kept {system.top.shape[1]} labels a document, too few",
            expected=f"at least {depth}",
            remedy=f"train it with --set evaluate.top_k={depth}",
        )


def _differences(systems: Sequence[System], on: Truth, metrics: Sequence[Metric], draws: int, seed: int) -> list[Table]:
    """Return a table for each system but the first."""
    from xmlcli.cli.display import display
    from xmlcli.comparison.bootstrap import paired_bootstrap
    from xmlcli.comparison.systems import sums
    from xmlcli.comparison.tables import Table

    first, *others = systems
    with display() as shown:
        by_system = [sums(system, on, metrics) for system in systems]
        found = paired_bootstrap(by_system[0], by_system[1:], draws=draws, seed=seed, progress=shown.progress)
    return [
        Table(
            f"{other.name} beside {first.name}, {on.Y.shape[0]:,} test documents, percent",
            ["metric", first.name, other.name, "difference", "95 % interval", "p"],
            [_row(difference) for difference in of_other],
        )
        for other, of_other in zip(others, found, strict=True)
    ]


def _row(d: Difference) -> list[str]:
    interval = f"{d.low:+.2f} to {d.high:+.2f}"
    return [d.metric, f"{d.first:.2f}", f"{d.other:.2f}", f"{d.difference:+.2f}", interval, f"{d.p:.4f}"]


def _by_frequency(systems: Sequence[System], on: Truth) -> Table:
    from xmlcli.comparison.systems import by_frequency
    from xmlcli.comparison.tables import Table

    return Table(
        f"R@{_K} of labels by their number of training documents, percent of pairs of document and label",
        ["training documents", "labels", "pairs", *(system.name for system in systems)],
        [
            [b.title, f"{b.labels:,}", f"{b.pairs:,}", *(f"{recall:.2f}" for recall in b.recall)]
            for b in by_frequency(systems, on, _K)
        ],
    )


def _changes(systems: Sequence[System], on: Truth, count: int) -> list[Table]:
    """Return a table for each system but the first of the documents that changed most; none where none did."""
    from xmlcli.comparison.systems import most_changed
    from xmlcli.comparison.tables import Table

    first, *others = systems
    tables = []
    for other in others:
        rows = [
            [str(c.document + 1), f"{c.gain:+d}", *map(_joined, (c.true, c.first, c.other))]
            for c in most_changed(first, other, on, _K, count)
        ]
        title = f"documents that changed most: true labels among the first {_K}, {other.name} less {first.name}"
        head = ["test document", "change", "true", first.name, other.name]
        tables += [Table(title, head, rows, words=5)] if rows else []
    return tables


def _joined(names: Sequence[str]) -> str:
    text = "; ".join(names)
    return text if len(text) <= _MOST_NAMES else f"{text[: _MOST_NAMES - 1]}…"


def _show(table: Table, form: str = "", *, first: bool) -> None:
    """Print a table, with an empty line before it unless it is the first."""
    from rich.console import Console
    from rich.table import Table as Grid
    from rich.text import Text

    from xmlcli.machine.terminal import shown

    if not first:
        typer.echo("")
    if form:
        text = {"markdown": table.markdown, "latex": table.latex, "csv": table.csv}[form]()
        typer.echo("\n".join(shown(line) for line in text.split("\n")))
        return
    grid = Grid(title=Text(shown(table.title)), title_justify="left")
    for number, name in enumerate(table.head):
        grid.add_column(Text(shown(name)), justify="left" if number < table.words else "right")
    for row in table.rows:
        grid.add_row(*(Text(shown(cell)) for cell in row))
    Console().print(grid)
