"""Find the folder of a dataset and see which layout its files have.

A NAME is looked for in the data folders, `data/` of the root first, then those of the environment variable
XMLCLI_DATA (separated as in PATH); each holds one folder a dataset. Case and punctuation do not matter, and a
published collection goes by its short names too. A PATH, anything with a separator in it, is taken as it is.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from xmlcli.datasets.registry import DEFAULT_PROPENSITY, KnownDataset, find_known, known_names, simplified
from xmlcli.errors import DatasetError

DATA_VARIABLE = "XMLCLI_DATA"
DEMO = "demo"
XMC_TEXT, LF_RAW = "xmc-text", "lf-raw"


@dataclass(frozen=True)
class Layout:
    """File names of a layout by role, most common spelling first; `*` stands for the dataset's own name."""

    required: Mapping[str, tuple[str, ...]]
    optional: Mapping[str, tuple[str, ...]]


LAYOUTS: Mapping[str, Layout] = {
    LF_RAW: Layout(
        {"train": ("trn.json.gz", "trn.json"), "labels": ("lbl.json.gz", "lbl.json")},
        {"test": ("tst.json.gz", "tst.json"), "test_filter": ("filter_labels_test.txt",)},
    ),
    XMC_TEXT: Layout(
        {"train": ("train.txt", "*_train.txt")},
        {
            "test": ("test.txt", "*_test.txt"),
            "labels": ("labels.txt",),
            "features": ("features.txt",),
            "test_filter": ("filter_labels_test.txt",),
        },
    ),
}


@dataclass(frozen=True)
class DatasetFolder:
    """A dataset found.

    Attributes:
        name: the folder's own name.
        path: the folder; None for `demo`, which the program makes itself.
        layout: a key of `LAYOUTS`, or `demo`.
        files: the files that make it, by role: train, and where there: test, labels, features, test_filter.
        propensity_a, propensity_b: of the published collection of that name, otherwise 0.55 and 1.5.
        known: that collection, or None.
    """

    name: str
    path: Path | None
    layout: str
    files: Mapping[str, Path] = field(default_factory=dict)
    propensity_a: float = DEFAULT_PROPENSITY[0]
    propensity_b: float = DEFAULT_PROPENSITY[1]
    known: KnownDataset | None = None


def data_folders(root: Path, environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Folders that hold datasets: `root/data` (present or not) and those of XMLCLI_DATA.

    Raises:
        DatasetError: XMLCLI_DATA names a folder that does not exist.
    """
    listed = [Path(part).expanduser() for part in environ.get(DATA_VARIABLE, "").split(os.pathsep) if part]
    for folder in listed:
        if not folder.is_dir():
            raise DatasetError(
                f"no folder {folder}",
                where=f"environment variable {DATA_VARIABLE}",
                expected=f"existing folders, separated by {os.pathsep!r}, each holding one folder a dataset",
                remedy=f"correct or unset {DATA_VARIABLE}",
            )
    return [root / "data", *listed]


def locate(dataset: str, folders: Sequence[Path]) -> DatasetFolder:
    """Find a dataset by name or path.

    Args:
        dataset: NAME, or PATH of any folder.
        folders: where names are looked for, the first that holds it wins; one that does not exist holds nothing.

    Raises:
        DatasetError: there is none of that name or path, or its files have no known layout.
    """
    if dataset.lower() == DEMO:
        return DatasetFolder(DEMO, None, DEMO)
    if _is_path(dataset):
        path = Path(dataset).expanduser()
        if not path.is_dir():
            found = "a file" if path.exists() else "nothing there"
            raise DatasetError(f"no dataset at {dataset}", expected="a folder", found=found)
        return _open(path)
    known = find_known(dataset)
    wanted = [simplified(name) for name in (known.names if known else (dataset,))]
    for folder in folders:
        present = _subfolders(folder)
        exact = [path for path in present if path.name == dataset]
        for path in exact or [path for path in present if simplified(path.name) in wanted]:
            return _open(path)
    raise _absent(dataset, known, folders) if known else _unknown(dataset, folders)


def _is_path(dataset: str) -> bool:
    return os.sep in dataset or bool(os.altsep and os.altsep in dataset) or dataset in (".", "..", "~")


def _subfolders(folder: Path) -> list[Path]:
    """Folders inside a folder, by name, hidden ones left out; none where it does not exist."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _open(path: Path) -> DatasetFolder:
    """See which layout the files of a folder have."""
    for name, layout in LAYOUTS.items():
        files = {role: _pick(path, names) for role, names in layout.required.items()}
        if all(files.values()):
            files |= {role: _pick(path, names) for role, names in layout.optional.items()}
            folder_name = path.resolve().name
            known = find_known(folder_name)
            a, b = known.propensity if known else DEFAULT_PROPENSITY
            given = {role: file for role, file in files.items() if file is not None}
            return DatasetFolder(folder_name, path, name, given, a, b, known)
    there = sorted(entry.name for entry in path.iterdir())
    raise DatasetError(
        f"{path} holds no dataset of a known layout",
        expected=" or ".join(f"{_described(layout)} ({name})" for name, layout in LAYOUTS.items()),
        found=", ".join(there[:12]) + (", ..." if len(there) > 12 else "") or "an empty folder",
    )


def _pick(path: Path, names: tuple[str, ...]) -> Path | None:
    """The file of one role: the first spelling present.

    Raises:
        DatasetError: a spelling with `*` fits several files.
    """
    for name in names:
        fitting = sorted(file for file in path.glob(name) if file.is_file())
        if len(fitting) > 1:
            found = ", ".join(file.name for file in fitting)
            raise DatasetError(f"several files in {path} could be {names[0]}", expected="one", found=found)
        if fitting:
            return fitting[0]
    return None


def _described(layout: Layout) -> str:
    """The files a layout needs, in words."""
    need = " and ".join(" or ".join(names) for names in layout.required.values())
    return f"{need}, best with {' or '.join(layout.optional['test'])}"


def _absent(dataset: str, known: KnownDataset, folders: Sequence[Path]) -> DatasetError:
    """A published collection that is not on this machine."""
    target = folders[0] / simplified(dataset) if folders else Path("data") / simplified(dataset)
    return DatasetError(
        f"{known.name} is known but not on this machine",
        where=f"looked in {', '.join(map(str, folders))} (add folders with {DATA_VARIABLE})",
        expected=f"{target}/ with train.txt and test.txt (bag-of-words files), or with trn.json.gz, tst.json.gz and "
        "lbl.json.gz (raw text), which hold "
        f"{known.num_train:,} training and {known.num_test:,} test documents, {known.num_labels:,} labels",
        remedy=f"get the files from {known.page}, or use --dataset {DEMO}, which needs none",
    )


def _unknown(dataset: str, folders: Sequence[Path]) -> DatasetError:
    """A name nobody knows."""
    present = [path.name for folder in folders for path in _subfolders(folder)]
    choices = {simplified(name): name for name in [*known_names(), *present, DEMO]}
    near = [choices[name] for name in difflib.get_close_matches(simplified(dataset), list(choices), n=3, cutoff=0.6)]
    here = f"; for the folder of that name here write .{os.sep}{dataset}" if Path(dataset).is_dir() else ""
    return DatasetError(
        f"no dataset {dataset!r}" + (f", did you mean {' or '.join(near)}?" if near else ""),
        where=f"looked in {', '.join(map(str, folders))} (add folders with {DATA_VARIABLE})",
        expected=f"{', '.join(dict.fromkeys([DEMO, *present]))}, a published collection, or a path{here}",
    )
