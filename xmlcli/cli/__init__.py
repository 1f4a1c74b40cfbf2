"""The command line: parse, call, print. Nothing else prints or chooses an exit code.

Each subcommand has a file; seven stages share `stages`. `x_cli` parses, `x` works. Slow modules are imported inside
`x`, so that `--help` comes fast.
"""

from __future__ import annotations

import atexit
import gc
import io
import os
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from xmlcli.cli.check import check_cli
from xmlcli.cli.compare import compare_cli
from xmlcli.cli.convert import convert_cli
from xmlcli.cli.datasets import datasets_cli
from xmlcli.cli.doctor import doctor_cli
from xmlcli.cli.evaluate import evaluate_cli
from xmlcli.cli.export import export_cli
from xmlcli.cli.fetch import fetch_cli
from xmlcli.cli.generate import generate_cli
from xmlcli.cli.help_text import PanelCommand, PanelGroup
from xmlcli.cli.plan import plan_cli
from xmlcli.cli.predict import predict_cli
from xmlcli.cli.runs import app as runs_app
from xmlcli.cli.say import loudness, tell
from xmlcli.cli.settings import settings_cli
from xmlcli.cli.stages import (
    combine_cli,
    embed_labels_cli,
    finish_cli,
    init_clf_cli,
    prepare_cli,
    shortlist_cli,
    train_clf_cli,
)
from xmlcli.cli.train import train_cli
from xmlcli.errors import EXIT_ERROR, EXIT_INTERRUPTED, UnfetchedError, XmlcliError
from xmlcli.machine.memory import ran_out
from xmlcli.version import __version__

_NO_MEMORY = (
    "memory ran out; what to do: end other programs, raise the limit (ulimit -v), or train with less: "
    "--profile fast, or --max-documents N"
)
_MAIN, _DATA, _STAGES = "Commands", "Data", "Stages of the pipeline, as dvc repro calls them"

app = typer.Typer(
    name="xmlcli",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    cls=PanelGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"xmlcli {__version__}")
        raise typer.Exit


@app.callback()
def xmlcli(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but results, errors and warnings.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say what the library logs too.")] = False,
) -> None:
    """Extreme multi-label classification on one machine, by the LightDXML method.

    Learns to rank thousands to millions of labels for documents. Three phases run in cycles: label embeddings,
    shortlists of near labels, classifiers on those.

    \b
    xmlcli train --dataset demo         prepare, train and measure the embedded dataset
    xmlcli evaluate --metric psp@5      one figure of the last trained dataset
    xmlcli predict --text "..."         labels of a new document
    xmlcli plan --dataset demo          what would run, and why

    Real datasets are looked up by name in data/ and in the folders that XMLCLI_DATA lists; train fetches a published
    one that is missing. xmlcli datasets lists them, docs/datasets.md describes the formats.
    """
    from xmlcli.cli.log_lines import show_log
    from xmlcli.errors import UsageError

    if quiet and verbose:
        raise UsageError("--quiet beside --verbose", expected="one of them")
    loudness.quiet, loudness.verbose = quiet, verbose
    show_log()
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


_COMMANDS: dict[str, dict[str, Callable[..., None]]] = {
    _MAIN: {
        "train": train_cli,
        "evaluate": evaluate_cli,
        "predict": predict_cli,
        "compare": compare_cli,
        "export": export_cli,
        "plan": plan_cli,
        "doctor": doctor_cli,
    },
    _DATA: {
        "check": check_cli,
        "datasets": datasets_cli,
        "fetch": fetch_cli,
        "convert": convert_cli,
        "generate": generate_cli,
    },
    _STAGES: {
        "settings": settings_cli,
        "prepare": prepare_cli,
        "init-clf": init_clf_cli,
        "embed-labels": embed_labels_cli,
        "shortlist": shortlist_cli,
        "train-clf": train_clf_cli,
        "combine": combine_cli,
        "finish": finish_cli,
    },
}
for _panel, _commands in _COMMANDS.items():
    for _name, _command in _commands.items():
        app.command(_name, rich_help_panel=_panel, cls=PanelCommand)(_command)
app.add_typer(runs_app, name="runs", rich_help_panel=_MAIN)


def main() -> None:
    """Run the command line; a known error is one red line and exit code 2, Ctrl-C one line and 130."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads spin while they wait, and take cores from ours
    atexit.register(gc.freeze)  # else Python visits all objects of all modules once more before it ends
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a label in a script that the terminal cannot show
    try:
        code = app(_loudness_first(sys.argv[1:]), standalone_mode=False)
    except UnfetchedError as error:
        first, *others = str(error).splitlines()
        code = _fail(first)
        for line in others:
            tell(f"  {line}", "red")
        sys.exit(code)
    except XmlcliError as error:
        sys.exit(_fail("; ".join(str(error).splitlines())))
    except typer.TyperException as error:
        sys.exit(_fail(f"{' '.join(error.format_message().split())} (xmlcli --help shows how)"))
    except (KeyboardInterrupt, typer.Abort):
        code = EXIT_INTERRUPTED
    except Exception as error:
        if ran_out(error):
            sys.exit(_fail(_NO_MEMORY))
        if not isinstance(error, OSError) or error.errno is None:
            raise
        # a folder that cannot be written, a full disk
        name = error.filename2 or error.filename  # the second is where something should have been moved to
        sys.exit(_fail(f"{name}: {error.strerror}" if name else str(error.strerror)))
    if code == EXIT_INTERRUPTED:
        tell("interrupted; the same command goes on from here", "red")
    sys.exit(code)


def _loudness_first(words: list[str]) -> list[str]:
    """Return the words with --quiet and --verbose in front, where they belong, wherever they were typed."""
    before, end = (words[: words.index("--")], words[words.index("--") :]) if "--" in words else (words, [])
    flags = [word for word in before if word in ("--quiet", "--verbose")]
    return [*flags, *(word for word in before if word not in flags), *end]


def _fail(text: str) -> int:
    tell(f"xmlcli: {text}", "red")
    return EXIT_ERROR
