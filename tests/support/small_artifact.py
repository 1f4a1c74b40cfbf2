"""A small artifact of the kind shortlist, written and read again."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from xmlcli.storage import artifacts, writing

MADE_BY = "xmlcli shortlist --dataset demo --cycle 1"


def write_shortlist(folder: Path, *, fill: int = 1, n: int = 3, k: int = 2) -> None:
    with writing.writer(folder, "shortlist") as out:
        out.array("indices.npy", np.full((n, k), fill, dtype=np.int32))
        out.array("scores.npy", np.ones((n, k), dtype=np.float32))
        out.json("report.json", {"recall": 0.5, "β": [1, 2]})


def read_shortlist(folder: Path) -> artifacts.Artifact:
    return artifacts.read(folder, "shortlist", made_by=MADE_BY)
