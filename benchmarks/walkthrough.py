"""Run the commands of docs/your-data.md in an empty folder, and with --write put what they print into the page.

    python benchmarks/walkthrough.py [--write]

Indented blocks are shell commands after `$ `, or Python after `>>> `; they are run up to the section on services.
A file shown by `cat` before anything made it is made of what the page shows.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import doctest
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "docs" / "your-data.md"
END = "## In a service"
SCRIPT = re.compile(r"```python\n(.*?)```\n+    \$ python (\S+)\n", re.DOTALL)
BLOCK = re.compile(r"(?:^    .*\n)+", re.MULTILINE)


def shell(block: str) -> str:
    """Return a block of commands with what they print now."""
    lines: list[str] = []
    for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
        program, *words = shlex.split(command)
        if program == "cat" and not Path(words[0]).exists():
            Path(words[0]).write_text(shown, encoding="utf-8")
        start = {"xmlcli": f"{shlex.quote(sys.executable)} -m xmlcli", "python": shlex.quote(sys.executable)}
        run = start.get(program, program) + command.removeprefix(program)
        done = subprocess.run(run, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)
        lines += [f"$ {command}", *(line.rstrip() for line in done.stdout.splitlines())]
    return "\n".join(lines) + "\n"


def python(block: str, names: dict[str, Any]) -> str:
    """Return a block of examples with what they print now; one that needs names the page does not make stays."""
    lines: list[str] = []
    for example in doctest.DocTestParser().get_examples(block):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            try:
                exec(compile(example.source, str(PAGE), "single"), names)
            except NameError:
                return block
        lines += [f">>> {example.source.rstrip()}", *out.getvalue().splitlines()]
    return "\n".join(lines) + "\n"


def rewritten(text: str) -> str:
    """Return the page with true output; runs in the current folder."""
    head, end, rest = text.partition(END)
    script = SCRIPT.search(head)
    assert script is not None, "the page begins with a script"
    Path(script[2]).write_text(script[1], encoding="utf-8")
    names: dict[str, Any] = {}

    def replaced(match: re.Match[str]) -> str:
        block = re.sub(r"^    ", "", match[0], flags=re.MULTILINE)
        if script.start() <= match.start() < script.end() - len(match[0]) or block[0] not in "$>":
            return match[0]
        new = shell(block) if block[0] == "$" else python(block, names)
        return re.sub(r"^(?=.)", "    ", new, flags=re.MULTILINE)

    return BLOCK.sub(replaced, head) + end + rest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the output into the page")
    options = parser.parse_args()
    text = PAGE.read_text(encoding="utf-8")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(PAGE.parents[1]), os.environ.get("PYTHONPATH", "")])
    os.environ["COLUMNS"] = "100"
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        new = rewritten(text)
    if options.write:
        PAGE.write_text(new, encoding="utf-8")
    else:
        sys.stdout.writelines(difflib.unified_diff(text.splitlines(True), new.splitlines(True), "page", "now"))


if __name__ == "__main__":
    main()
