"""xmlcli: extreme multi-label classification on one machine, by the LightDXML method."""

__version__ = "0.1.0"
