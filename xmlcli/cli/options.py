"""The options that all commands share, and the run that they name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer

from xmlcli.cli.say import tell
from xmlcli.config.load import load_config
from xmlcli.config.overrides import parse_overrides, unused_overrides
from xmlcli.config.pipeline_files import find_pipeline
from xmlcli.config.sections import Config
from xmlcli.errors import UsageError
from xmlcli.stages.call import RunId
from xmlcli.storage.workspace import Ref, Workspace, check_name

_TABLE_OPTIONS = ("text_column", "labels_column", "label_separator")
_PREPARE_OPTIONS = ("max_documents", *_TABLE_OPTIONS, "group_column", "test_fraction")


@dataclass(frozen=True)
class Options:
    """The shared options as typed."""

    dataset: Annotated[
        str | None, typer.Option("--dataset", "-d", metavar="NAME|PATH", help="A dataset's name, or its folder.")
    ] = None
    profile: Annotated[
        str | None, typer.Option(metavar="NAME", help="Use pipelines/NAME.yaml, and keep its run apart.")
    ] = None
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="The run's own name. Default: the dataset's, and the profile's.")
    ] = None
    root: Annotated[Path, typer.Option(help="Where artifacts/, metrics/, runs/ and scratch/ lie.")] = Path()
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda", help="Where to compute.")] = "auto"
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Another value than the pipeline file's. Repeats."),
    ] = None
    seed: Annotated[int | None, typer.Option(help="Short for --set seed=N.")] = None
    max_documents: Annotated[int | None, typer.Option(help="Short for --set prepare.max_documents=N.")] = None
    text_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of a CSV, JSONL or Parquet file: the text. Several: A,B.")
    ] = None
    labels_column: Annotated[str | None, typer.Option(metavar="NAME", help="Of such a file: the labels.")] = None
    label_separator: Annotated[str | None, typer.Option(metavar="TEXT", help="What separates labels there.")] = None
    group_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of such a file: what documents share that belong together.")
    ] = None
    test_fraction: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Of such a file alone: share kept for test. Default: 0.1.")
    ] = None


@dataclass(frozen=True)
class Opened:
    """A run that the options name: where it lies and how it is configured."""

    run: RunId
    workspace: Workspace
    config: Config
    overrides: dict[str, Any] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """Where the dataset lies, or its name where the program makes it; empty where it is not on this machine."""
        from xmlcli.datasets.find import data_folders, locate
        from xmlcli.errors import DatasetError

        try:
            folder = locate(self.run.dataset, data_folders(self.workspace.root))
        except DatasetError:
            return ""
        return folder.name if folder.path is None else str(folder.path.resolve())


def with_options(*idle: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make Typer commands of functions whose first parameter is an `Options`, spelling its fields as options.

    A command's own options come first. `idle` are fields that have no effect on it: its help does not show them, and
    it warns where they are given.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
        names = {f.name for f in fields(Options)}

        def wrapper(**values: Any) -> None:
            options = Options(**{name: value for name, value in values.items() if name in names})
            for name in idle:
                if getattr(options, name) != getattr(Options, name):
                    tell(f"warning: --{name.replace('_', '-')} has no effect here", "yellow")
            command(options, **{name: value for name, value in values.items() if name not in names})

        shared = _shared_parameters(idle)
        parameters = [*(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own), *shared]
        wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
        wrapper.__doc__ = command.__doc__
        wrapper.__name__ = command.__name__
        return wrapper

    return decorate


def _shared_parameters(idle: Collection[str]) -> list[inspect.Parameter]:
    """Return a parameter for each field of `Options`, in a panel of their own."""
    hints, parameters = get_type_hints(Options, include_extras=True), []
    for f in fields(Options):
        plain, option = get_args(hints[f.name])
        option = copy(option)
        option.rich_help_panel, option.hidden = _panel(f.name), f.name in idle
        annotation = Annotated[plain, option]  # type: ignore[valid-type]
        parameters.append(
            inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=annotation)
        )
    return parameters


def _panel(name: str) -> str:
    if name in _TABLE_OPTIONS:
        return "Tables"
    return "The run" if name in ("dataset", "profile", "name", "root") else "Settings"


def named_run(options: Options) -> RunId:
    """Return the run that the options name. Raises UsageError without a dataset, or where its name can be none."""
    if not options.dataset:
        raise UsageError("no dataset named", remedy="add --dataset NAME; demo is always there")
    run = RunId(options.dataset, options.profile, options.name)
    check_name(run.name, "dataset" if options.name is None else "run")
    return run


def check_known(run: RunId, root: Path) -> None:
    """Raise DatasetError where there is no dataset of the run's, and nothing has been made of one."""
    from xmlcli.datasets.find import data_folders, locate
    from xmlcli.errors import AbsentDatasetError

    workspace = Workspace(root, run.name)
    if workspace.snapshot_path.exists() or workspace.artifact(Ref("prepared")).exists():
        return
    with suppress(AbsentDatasetError):  # train fetches it
        locate(run.dataset, data_folders(root))


def given_settings(options: Options) -> dict[str, Any]:
    """Return the settings that the options give, as {"section.key": value}. Raises ConfigError."""
    overrides = parse_overrides(options.set_ or [])
    short = {"seed": options.seed} | {f"prepare.{name}": getattr(options, name) for name in _PREPARE_OPTIONS}
    return overrides | {key: value for key, value in short.items() if value is not None}


def open_run(options: Options) -> Opened:
    """Find the pipeline file of a run and read it with all overrides.

    Raises UsageError without a dataset, DatasetError where nothing of that name is known, ConfigError for a pipeline
    that cannot be used.
    """
    run, overrides = named_run(options), given_settings(options)
    check_known(run, options.root)
    path = find_pipeline(run.dataset_name, run.profile)
    config = load_config(path, overrides)
    for warning in unused_overrides(config, overrides):
        tell(f"warning: {warning}", "yellow")
    return Opened(run, Workspace(options.root, run.name), config, overrides)


def for_run(options: Options, run: RunId) -> Options:
    """Return the options with another run's dataset and profile."""
    return replace(options, dataset=run.dataset, profile=run.profile, name=run.called)
