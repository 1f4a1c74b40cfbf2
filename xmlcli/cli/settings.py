"""`xmlcli settings`."""

from __future__ import annotations

from xmlcli.cli.options import Options, open_run, with_options


@with_options("device")
def settings_cli(options: Options) -> None:
    """Write all settings of a run to runs/RUN/settings.yaml, those of its pipeline's bases included.

    DVC compares the file's sections, so that a changed value runs again what depends on it, in whichever pipeline file
    it stands. All other commands read the pipeline files themselves.

    Example: xmlcli settings --dataset demo --profile fast
    """
    settings(options)


def settings(options: Options) -> None:
    """Read a run's pipeline and write the file."""
    from xmlcli.runs.runner import publish_settings
    from xmlcli.storage.workspace import lock

    opened = open_run(options)
    with lock(opened.workspace):
        publish_settings(opened.workspace, opened.config)
