"""`xmlcli evaluate`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xmlcli.cli.data import TABLE_OPTIONS, warn_of_columns
from xmlcli.cli.metrics_table import print_calibration, print_metrics
from xmlcli.cli.options import Opened, Options, given_settings, open_run, with_options
from xmlcli.cli.say import tell
from xmlcli.errors import ArtifactError, LockedError, UsageError

if TYPE_CHECKING:
    from xmlcli.runs.snapshot import Training
    from xmlcli.stages.call import Call


@with_options()
def evaluate_cli(
    options: Options,
    cycle: Annotated[int | None, typer.Option(min=1, help="Which cycle. Default: the last one.")] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", "-m", metavar="NAME@K", help="P, nDCG, PSP, PSnDCG, R or F1: psp, or psp@5,p@1."),
    ] = None,
    ks: Annotated[list[int] | None, typer.Option("-k", min=1, help="Show these k. Repeats. Default: 1, 3, 5.")] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Show F1 of the labels at least so probable too.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, costs included.")] = False,
    calibration: Annotated[
        bool, typer.Option("--calibration", help="Show how well probabilities hold on the test documents.")
    ] = False,
    predictions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", exists=True, dir_okay=False, help="Another system's scores: .npz, or lines of label:score."
        ),
    ] = None,
    truth: Annotated[
        str | None, typer.Option(metavar="NAME|PATH", help="With --predictions: the dataset they are for.")
    ] = None,
) -> None:
    """Measure a trained model on the test documents, or the predictions of another system.

    Without --dataset it is the model trained last; what was measured before is not computed again. While that model is
    trained again, or where its dataset or pipeline file has changed since, the figures are those of its last complete
    training. Without test documents the table is that of the validation documents, and says so.

    \b
    Example: xmlcli evaluate --metric psp@5
             xmlcli evaluate -m psp,f1@3 --threshold 0.5
             xmlcli evaluate --predictions theirs.npz --truth eurlex
    """
    asked = _asked(metric or [], ks or [], threshold, as_json=as_json, calibration=calibration)
    if predictions is None and truth is None:
        evaluate(options, cycle, asked)
    else:
        _check_foreign(options, cycle, predictions, truth, calibration=calibration)
        assert predictions is not None
        assert truth is not None
        evaluate_predictions(options, predictions, truth, asked)


@dataclass(frozen=True)
class Asked:
    """What is shown of an evaluation.

    Attributes:
        metrics: names such as P@1; empty for all that are measured.
        as_lines: whether each is a line of its own instead of a table's cell.
        threshold: F1 of labels at least so probable is shown too.
        calibration: whether nothing is shown but how well probabilities hold.
    """

    metrics: list[str]
    as_lines: bool
    threshold: float | None
    as_json: bool
    calibration: bool


def _asked(
    metrics: list[str], ks: list[int], threshold: float | None, *, as_json: bool, calibration: bool
) -> Asked:
    """Return what is asked for. Raises UsageError for an unknown metric, before anything is computed."""
    if calibration and (metrics or ks or threshold is not None):
        raise UsageError("--metric, -k or --threshold beside --calibration", expected="one of them")
    if not metrics and not ks:
        return Asked([], False, threshold, as_json, calibration)
    from xmlcli.metrics import DEFAULT_KS, METRIC_NAMES, parse_metrics

    wanted = parse_metrics(metrics or METRIC_NAMES, ks or DEFAULT_KS)
    return Asked([str(metric) for metric in wanted], bool(metrics), threshold, as_json, calibration)


def evaluate(options: Options, cycle: int | None, asked: Asked) -> None:
    """Evaluate if that has not been done, and print the metrics of one cycle."""
    from xmlcli.runs.snapshot import through

    read = _read_calibration if asked.calibration else _read
    opened = _open(options)
    measured = _measure(options, opened, cycle)
    if measured is None:
        show = through(opened.workspace, lambda training: read(training, cycle, asked), opened.run)
    else:
        show = read(measured, cycle, asked)
        measured.check_unchanged()
    show()


def _open(options: Options) -> Opened:
    """Return the run that options name, or the one trained last with the settings of that training."""
    from xmlcli.cli.predict import unnamed_workspace
    from xmlcli.config.resolved import overridden
    from xmlcli.runs.snapshot import published

    if options.dataset is not None:
        return open_run(options)
    workspace, given = unnamed_workspace(options), given_settings(options)
    training = published(workspace)
    return Opened(training.run, workspace, overridden(training.config, given), {**training.overrides, **given})


def _measure(options: Options, opened: Opened, cycle: int | None) -> Training | None:
    """Evaluate under the settings of the options and the pipeline file, where all that comes before is current.

    Returns None where the complete training is to answer; what was measured where it is part of none, such as an
    earlier cycle of a training under way. Raises ArtifactError or UsageError where neither can answer.
    """
    from xmlcli.cli.running import run_calls
    from xmlcli.config.overrides import flatten
    from xmlcli.config.resolved import all_settings
    from xmlcli.runs import identity, runner
    from xmlcli.runs.plan import ancestors, find_call, makers, plan
    from xmlcli.runs.snapshot import check_settings, incomplete, is_published, measured, published

    workspace, given = opened.workspace, given_settings(options)
    calls = plan(opened.config, opened.run)
    call = find_call(calls, "evaluate", opened.config.cycles if cycle is None else cycle)
    session = runner.Session(workspace, opened.config)
    every = flatten(all_settings(opened.config))
    if _is_complete(opened, every) and identity.why_not_current(session, call) is None:
        runner.publish_metrics(workspace, call)
        return None
    combine = makers(calls)[call.inputs["combination"]]  # it depends on settings of evaluate too
    before = [c for c in ancestors(calls, call) if c != combine]
    stale = next((s for s in identity.status(session, before) if not s.current), None)
    if stale is None:
        try:
            unfinished = run_calls(options, opened, [combine, call], calls)
        except LockedError:
            if not _is_complete(opened, given):
                raise
            return None
        return measured(workspace, opened.config, call) if unfinished else None
    found = f"{stale.call.name} would run: {stale.reason}"
    if not is_published(workspace):
        raise incomplete(workspace, opened.run, found)
    check_settings(published(workspace, opened.run), given)
    tell(f"{found}; these are figures of the complete training", "yellow")
    return None


def _is_complete(opened: Opened, asked: Mapping[str, Any]) -> bool:
    """Whether the run has a complete training with the settings asked for."""
    from xmlcli.runs.snapshot import check_settings, published

    try:
        check_settings(published(opened.workspace, opened.run), asked)
    except (ArtifactError, UsageError):
        return False
    return True


def _read(training: Training, cycle: int | None, asked: Asked) -> Callable[[], None]:
    """Read the metrics of a cycle, and return a function that prints them. Raises UsageError where there are none."""
    from xmlcli.runs import results
    from xmlcli.runs.plan import find_call

    call = find_call(training.plan, "evaluate", training.config.cycles if cycle is None else cycle)
    metrics, at = asked.metrics, {} if asked.threshold is None else _at_threshold(training, call, asked.threshold)
    if asked.as_json:
        return partial(typer.echo, json.dumps(results.report(training, call, metrics) | at))
    about, test = results.describe(training, call), results.read_test_metrics(training, call, metrics)
    if asked.as_lines:
        lines = [*test.items(), *at.get("at_threshold", {}).items()]
        return partial(typer.echo, "\n".join(f"{name} {value:.2f}" for name, value in lines))
    if test:
        oracle = {} if metrics else results.read_oracle_metrics(training, call)
        return partial(print_metrics, test, oracle, about=about, at=at)
    validation = results.read_validation_metrics(training, call)
    if validation:
        return partial(print_metrics, validation, {}, head="percent, validation", about=about)
    raise UsageError(
        "there is nothing to measure", expected="test documents, or enough training documents to keep some back"
    )


def _read_calibration(training: Training, cycle: int | None, asked: Asked) -> Callable[[], None]:
    """Read how well the probabilities of a cycle hold, and return a function that prints it."""
    from xmlcli.runs import results
    from xmlcli.runs.plan import find_call

    call = find_call(training.plan, "evaluate", training.config.cycles if cycle is None else cycle)
    found = results.read_calibration(training, call)
    return partial(typer.echo, json.dumps(found)) if asked.as_json else partial(print_calibration, found)


def _at_threshold(training: Training, call: Call, threshold: float) -> dict[str, Any]:
    """Return what is measured at a threshold, as JSON has it."""
    from xmlcli.runs.thresholds import measure_at

    return {"threshold": threshold, "at_threshold": measure_at(training, call, threshold)}


def evaluate_predictions(options: Options, predictions: Path, truth: str, asked: Asked) -> None:
    """Print metrics of another system's predictions; nothing is written."""
    from xmlcli.cli.display import display
    from xmlcli.datasets.find import data_folders, locate
    from xmlcli.datasets.formats.problems import TableColumns
    from xmlcli.datasets.load import read_dataset
    from xmlcli.datasets.predictions import measure_predictions
    from xmlcli.metrics import DEFAULT_METRICS, parse_metrics

    if asked.threshold is not None:
        raise UsageError("--threshold beside --predictions", expected="a trained model, which gives probabilities")
    metrics = parse_metrics(asked.metrics) or list(DEFAULT_METRICS)
    usual = TableColumns()
    columns = TableColumns(
        options.text_column or usual.text,
        options.labels_column or usual.labels,
        options.label_separator or usual.separator,
    )
    folder = locate(truth, data_folders(options.root))
    warn_of_columns(folder, [f"--{name.replace('_', '-')}" for name in TABLE_OPTIONS if getattr(options, name)])
    with display() as shown:
        dataset = read_dataset(folder, columns=columns, progress=shown.progress)
        values = measure_predictions(predictions, dataset, metrics, progress=shown.progress)
    if asked.as_json:
        typer.echo(json.dumps({"dataset": folder.name, "metrics": values}))
    elif asked.as_lines:
        for name, value in values.items():
            typer.echo(f"{name} {value:.2f}")
    else:
        print_metrics(values, {})


def _check_foreign(
    options: Options, cycle: int | None, predictions: Path | None, truth: str | None, *, calibration: bool
) -> None:
    """Raise UsageError where --predictions or --truth stands alone, or beside an option that speaks of a model."""
    if predictions is None or truth is None:
        here, missing = ("--predictions", "--truth") if truth is None else ("--truth", "--predictions")
        example = "xmlcli evaluate --predictions FILE --truth NAME"
        raise UsageError(f"{here} without {missing}", expected="both", remedy=example)
    allowed = ("root", *TABLE_OPTIONS)
    given = [f.name for f in fields(options) if getattr(options, f.name) != f.default and f.name not in allowed]
    if cycle is not None:
        given.append("cycle")
    if calibration:
        given.append("calibration")
    if given:
        names = ", ".join(f"--{name.strip('_').replace('_', '-')}" for name in given)
        raise UsageError(
            f"{names} beside --predictions",
            expected="only --truth, --metric, --json, --root and the columns of a table",
            remedy="--truth names the dataset; the other options are those of a trained model",
        )
