"""Finding a published collection by any of its names."""

from __future__ import annotations

from xmlcli.datasets.published.catalogue import DEFAULT_PROPENSITY, KNOWN_DATASETS, KnownDataset

__all__ = ["DEFAULT_PROPENSITY", "KNOWN_DATASETS", "KnownDataset", "find_known", "known_names", "simplified"]


def find_known(name: str) -> KnownDataset | None:
    """The collection of that name, whatever its case and punctuation; None where there is none."""
    wanted = simplified(name)
    for known in KNOWN_DATASETS:
        if wanted in map(simplified, known.names):
            return known
    return None


def simplified(name: str) -> str:
    """A name without case and punctuation: `EURLex-4K` and `eurlex_4k` are one."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def known_names() -> list[str]:
    """Every name a published collection goes by."""
    return [name for known in KNOWN_DATASETS for name in known.names]
