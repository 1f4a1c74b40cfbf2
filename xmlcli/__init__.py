"""xmlcli: extreme multi-label classification on one machine, by the LightDXML method.

>>> import xmlcli
>>> model = xmlcli.fit(texts, labels)           # doctest: +SKIP
>>> model.predict(["a new document"], k=5)      # doctest: +SKIP
>>> model.save("models/mine")                   # doctest: +SKIP
>>> model = xmlcli.load("models/mine")          # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from xmlcli.version import __version__

if TYPE_CHECKING:
    from xmlcli.api.estimator import XMLClassifier
    from xmlcli.api.fit import fit
    from xmlcli.errors import XmlcliError
    from xmlcli.serving.model import Model, load

__all__ = ["Model", "XMLClassifier", "XmlcliError", "__version__", "fit", "load"]

_HOMES = {
    "Model": "xmlcli.serving.model",
    "XMLClassifier": "xmlcli.api.estimator",
    "XmlcliError": "xmlcli.errors",
    "fit": "xmlcli.api.fit",
    "load": "xmlcli.serving.model",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for only then: `import xmlcli` alone loads nothing slow."""
    if name not in _HOMES:
        raise AttributeError(f"module 'xmlcli' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
