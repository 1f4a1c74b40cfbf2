"""The command line: parse, call, print. Nothing else prints or chooses an exit code.

Each subcommand has a file; the five stages share `stages`. `x_cli` parses, `x` works. Slow modules are imported inside
`x`, so that `--help` comes fast.
"""

from __future__ import annotations

import atexit
import gc
import io
import os
import sys
from typing import Annotated

import typer

from xmlcli.cli.convert import convert_cli
from xmlcli.cli.datasets import datasets_cli
from xmlcli.cli.evaluate import evaluate_cli
from xmlcli.cli.export import export_cli
from xmlcli.cli.fetch import fetch_cli
from xmlcli.cli.generate import generate_cli
from xmlcli.cli.plan import plan_cli
from xmlcli.cli.predict import predict_cli
from xmlcli.cli.say import tell
from xmlcli.cli.settings import settings_cli
from xmlcli.cli.stages import embed_labels_cli, init_clf_cli, prepare_cli, shortlist_cli, train_clf_cli
from xmlcli.cli.train import train_cli
from xmlcli.errors import EXIT_ERROR, EXIT_INTERRUPTED, XmlcliError
from xmlcli.machine.memory import ran_out
from xmlcli.version import __version__

_NO_MEMORY = (
    "memory ran out; what to do: end other programs, raise the limit (ulimit -v), or train with less: "
    "--profile fast, or --max-documents N"
)
_MAIN, _STAGES = "Commands", "Single stages, as dvc repro calls them"

app = typer.Typer(
    name="xmlcli",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"xmlcli {__version__}")
        raise typer.Exit


@app.callback()
def xmlcli(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
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

    show_log()


for _name, _command in (
    ("train", train_cli),
    ("evaluate", evaluate_cli),
    ("predict", predict_cli),
    ("export", export_cli),
    ("plan", plan_cli),
    ("datasets", datasets_cli),
    ("fetch", fetch_cli),
    ("convert", convert_cli),
    ("generate", generate_cli),
):
    app.command(_name, rich_help_panel=_MAIN)(_command)
for _name, _command in (
    ("settings", settings_cli),
    ("prepare", prepare_cli),
    ("init-clf", init_clf_cli),
    ("embed-labels", embed_labels_cli),
    ("shortlist", shortlist_cli),
    ("train-clf", train_clf_cli),
):
    app.command(_name, rich_help_panel=_STAGES)(_command)


def main() -> None:
    """Run the command line; a known error is one red line and exit code 2, Ctrl-C one line and 130."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads spin while they wait, and take cores from ours
    atexit.register(gc.freeze)  # else Python visits all objects of all modules once more before it ends
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a label in a script that the terminal cannot show
    try:
        code = app(standalone_mode=False)
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


def _fail(text: str) -> int:
    tell(f"xmlcli: {text}", "red")
    return EXIT_ERROR
