"""Prepare a command that reads a dataset: fetch a published one that is missing, and warn of idle options."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from xmlcli.cli.fetch import fetch_shown
from xmlcli.cli.options import Opened, Options
from xmlcli.cli.say import tell
from xmlcli.storage.workspace import Ref

if TYPE_CHECKING:
    from xmlcli.datasets.find import DatasetFolder

OFFLINE_VARIABLE = "XMLCLI_OFFLINE"
TABLE_OPTIONS = ("text_column", "labels_column", "label_separator")
_SPLIT_OPTIONS = ("group_column", "test_fraction")


def make_ready(
    options: Options,
    opened: Opened,
    environ: Mapping[str, str] = os.environ,
    *,
    check: bool = True,
) -> None:
    """See that the dataset of a run is on this machine, unless it has been prepared already.

    `check`: look into a table too, unless it has been read as it is.

    Raises:
        DatasetError: it is not there and cannot be fetched, or a table of it is not as the options say.
    """
    from xmlcli.datasets.find import data_folders, locate
    from xmlcli.errors import AbsentDatasetError, DatasetError

    is_prepared = opened.workspace.artifact(Ref("prepared")).exists()
    folders = data_folders(options.root)
    try:
        folder = locate(opened.run.dataset, folders)
    except AbsentDatasetError:
        if is_prepared:
            return
        folder = _fetched(opened.run.dataset, folders[0], environ)
    except DatasetError:
        if is_prepared:
            return
        raise
    if check and not (is_prepared and _is_current(opened)):
        _check(folder, opened)
    of_table = [f"prepare.{name}" for name in (*TABLE_OPTIONS, *_SPLIT_OPTIONS)]
    warn_of_columns(folder, [name for name in of_table if name in opened.overrides])


def _fetched(name: str, data: Path, environ: Mapping[str, str]) -> DatasetFolder:
    """Fetch a published collection. Raises UnfetchedError."""
    from xmlcli.datasets.published.catalogue import find_known
    from xmlcli.errors import DatasetError, UnfetchedError

    known = find_known(name)
    assert known is not None
    if environ.get(OFFLINE_VARIABLE):
        raise UnfetchedError(known.name, f"and {OFFLINE_VARIABLE} forbids to fetch it", known.page)
    try:
        return fetch_shown(name, data, None)
    except DatasetError as failed:
        why = str(failed).partition("\nwhat to do: ")[0].rpartition("found: ")[2] or str(failed).splitlines()[0]
        raise UnfetchedError(known.name, f"and could not be fetched: {why}", known.page) from failed


def _is_current(opened: Opened) -> bool:
    """Whether a dataset has been read as it is now."""
    from xmlcli.runs import identity, runner
    from xmlcli.runs.plan import plan

    session = runner.Session(opened.workspace, opened.config)
    return identity.why_not_current(session, plan(opened.config, opened.run)[0]) is None


def _check(folder: DatasetFolder, opened: Opened) -> None:
    """Look into a table before anything is made of it. Raises DatasetError."""
    from xmlcli.cli.check import check_at_start
    from xmlcli.datasets.formats.layouts import TABLE
    from xmlcli.datasets.formats.problems import TableColumns

    config = opened.config.prepare
    if folder.layout == TABLE:
        check_at_start(folder, TableColumns(config.text_column, config.labels_column, config.label_separator))


def warn_of_columns(folder: DatasetFolder, idle: Sequence[str]) -> None:
    """Warn of options that say how a table is read where the dataset is none."""
    from xmlcli.datasets.formats.layouts import TABLE

    if idle and folder.layout != TABLE:
        text = f"warning: {', '.join(idle)} has no effect: {folder.name} is no table but {folder.layout}"
        tell(text, "yellow")
