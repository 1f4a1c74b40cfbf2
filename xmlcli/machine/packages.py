"""Packages that only some inputs and outputs need."""

from __future__ import annotations

import importlib
from typing import Any

from xmlcli.errors import UsageError


def import_optional(module: str, extra: str, what: str, otherwise: str = "") -> Any:
    """Import a module of an optional package.

    Args:
        module: its name.
        extra: the extra of xmlcli that installs it.
        what: what needs it.
        otherwise: what else the user may do, said behind the command that installs it.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        remedy = ", ".join(filter(None, (f"pip install 'xmlcli[{extra}]'", otherwise)))
        raise UsageError(f"{what} needs the package {module.partition('.')[0]}", remedy=remedy) from error
