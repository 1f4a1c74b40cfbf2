"""Run pytest in forked children of a process that has imported what takes longest, the modules that its arguments name.

Orders come as lines of JSON on standard input: `root`, the folder to run in; `tests`; `cache`, the folder of compiled
kernels; `temporary`, a folder for temporary files; `out`, the file for all that is printed. For each the number of the
child, which leads a process group, and then its exit code go to standard output.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import tempfile
from typing import Any


def run_tests(order: dict[str, Any]) -> int:
    """Become a process of its own that runs tests, and return the exit code of pytest."""
    import pytest

    os.setsid()
    out = os.open(order["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for descriptor, into in ((os.open(os.devnull, os.O_RDONLY), 0), (out, 1), (out, 2)):
        os.dup2(descriptor, into)
    os.chdir(order["root"])
    os.environ |= {"PYTHONPATH": order["root"], "NUMBA_CACHE_DIR": order["cache"], "TMPDIR": order["temporary"]}
    sys.path.insert(0, order["root"])
    tempfile.tempdir = None
    if "numba" in sys.modules:
        sys.modules["numba"].config.CACHE_DIR = order["cache"]
    return int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *order["tests"]]))


def main() -> int:
    """Carry out orders until there are no more; in a child, return its exit code."""
    for name in sys.argv[1:]:
        importlib.import_module(name)
    gc.freeze()
    for line in sys.stdin:
        child = os.fork()
        if not child:
            return run_tests(json.loads(line))
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
