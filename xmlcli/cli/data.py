"""Prepare a command that reads a dataset: fetch a published one that is missing, and warn of idle options."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from xmlcli.cli.fetch import fetch_shown
from xmlcli.cli.options import Opened, Options
from xmlcli.cli.say import tell

if TYPE_CHECKING:
    from xmlcli.datasets.find import DatasetFolder
    from xmlcli.stages.call import Call

OFFLINE_VARIABLE = "XMLCLI_OFFLINE"
TABLE_OPTIONS = ("text_column", "labels_column", "label_separator")
_SPLIT_OPTIONS = ("group_column", "test_fraction")


def make_ready(options: Options, opened: Opened, prepare: Call, environ: Mapping[str, str] = os.environ) -> None:
    """See that the dataset which `prepare` reads is on this machine, unless its artifact is there already.

    Raises:
        DatasetError: it is not, and cannot be fetched.
    """
    from xmlcli.datasets.find import data_folders, locate
    from xmlcli.errors import AbsentDatasetError, DatasetError

    if opened.workspace.artifact(prepare.output).exists():
        return
    folders = data_folders(options.root)
    try:
        folder = locate(opened.run.dataset, folders)
    except AbsentDatasetError as absent:
        if environ.get(OFFLINE_VARIABLE):
            raise
        try:
            folder = fetch_shown(opened.run.dataset, folders[0], None)
        except DatasetError as failed:
            raise AbsentDatasetError(f"{absent}\n{failed}") from failed
    except DatasetError:
        return  # prepare says what is wrong
    of_table = [f"prepare.{name}" for name in (*TABLE_OPTIONS, *_SPLIT_OPTIONS)]
    warn_of_columns(folder, [name for name in of_table if name in opened.overrides])


def warn_of_columns(folder: DatasetFolder, idle: Sequence[str]) -> None:
    """Warn of options that say how a table is read where the dataset is none."""
    from xmlcli.datasets.formats.layouts import TABLE

    if idle and folder.layout != TABLE:
        text = f"warning: {', '.join(idle)} has no effect: {folder.name} is no table but {folder.layout}"
        tell(text, "yellow")
