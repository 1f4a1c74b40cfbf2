"""Find the folder of a dataset and see which layout its files have.

A NAME is looked for in the data folders: `data/` of the root first, then `data/` of the current folder, then those of
the environment variable XMLCLI_DATA (separated as in PATH). Each holds one folder a dataset. Case and punctuation do
not matter, and a published collection goes by its short names too. A PATH, anything with a separator in it or a table
in the current folder, is taken as it is: a folder, or a table.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from xmlcli.datasets.formats import layouts
from xmlcli.datasets.formats.layouts import DEMO
from xmlcli.datasets.formats.streams import plain_suffix
from xmlcli.datasets.published.catalogue import DEFAULT_PROPENSITY, KnownDataset, find_known, known_names, simplified
from xmlcli.errors import AbsentDatasetError, DatasetError

DATA_VARIABLE = "XMLCLI_DATA"


@dataclass(frozen=True)
class DatasetFolder:
    """A dataset found.

    Attributes:
        name: the folder's own name.
        path: the folder, or the one file; None for `demo`, which the program makes itself.
        layout: a key of `layouts.LAYOUTS`, or `demo`.
        files: the files that make it, by role: train, and where there: test, labels, features, test_filter, ...
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
    """Return the folders where names are looked up: `data/` of the root, `data/` here, and those of XMLCLI_DATA.

    The first two may be absent, and are one where the root is the current folder.

    Raises:
        DatasetError: XMLCLI_DATA names a folder that does not exist.
    """
    listed = [as_path(part) for part in environ.get(DATA_VARIABLE, "").split(os.pathsep) if part]
    for folder in listed:
        if not folder.is_dir():
            raise DatasetError(
                f"no folder {folder}",
                where=f"environment variable {DATA_VARIABLE}",
                expected=f"existing folders, separated by {os.pathsep!r}, each holding one folder a dataset",
                remedy=f"correct or unset {DATA_VARIABLE}",
            )
    own, here = root / "data", Path("data")
    return [own, *([] if here.resolve() == own.resolve() else [here]), *listed]


def locate(dataset: str, folders: Sequence[Path]) -> DatasetFolder:
    """Find a dataset by name or path.

    Args:
        dataset: NAME, or PATH of any folder or table.
        folders: where names are looked for, the first that holds it wins; one that does not exist holds nothing.

    Raises:
        AbsentDatasetError: a published collection that is not on this machine.
        DatasetError: there is none of that name or path, or its files have no known layout.
    """
    if dataset.lower() == DEMO:
        return DatasetFolder(DEMO, None, DEMO)
    if _is_path(dataset) or _is_file_name(dataset):
        path = as_path(dataset)
        if path.is_dir():
            return open_folder(path)
        if not path.exists():
            raise _no_file(path, dataset)
        return _open_file(path)
    known = find_known(dataset)
    wanted = [simplified(name) for name in (known.names if known else (dataset,))]
    for folder in folders:
        present = subfolders(folder)
        exact = [path for path in present if path.name == dataset]
        for path in exact or [path for path in present if simplified(path.name) in wanted]:
            return open_folder(path)
    raise _absent(dataset, known, folders) if known else _unknown(dataset, folders)


def as_path(text: str) -> Path:
    """Return a path, of which `~` or `~name` stands for a home. Raises DatasetError where there is no such."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise DatasetError(
            f"no home folder for {text}", remedy=f"for a folder of that name write .{os.sep}{text}"
        ) from None


def _is_path(dataset: str) -> bool:
    return os.sep in dataset or bool(os.altsep and os.altsep in dataset) or dataset in (".", "..", "~")


def _is_file_name(dataset: str) -> bool:
    """Whether a name without a folder is that of a file, there or not, and of no dataset."""
    path = Path(dataset)
    return plain_suffix(path) in layouts.TABLE_SUFFIXES or (path.is_file() and bool(path.suffix))


def _no_file(path: Path, dataset: str) -> DatasetError:
    """A path at which there is nothing; names of files beside it that are like it."""
    beside = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, beside, n=2)
    meant = f", did you mean {' or '.join(str(path.with_name(name)) for name in near)}?" if near else ""
    return DatasetError(f"no dataset at {dataset}{meant}", expected="a folder or a table", found="nothing there")


def subfolders(folder: Path) -> list[Path]:
    """Folders inside a folder, by name, hidden ones left out; none where it does not exist."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def open_folder(path: Path) -> DatasetFolder:
    """See which layout the files of a folder have.

    Raises:
        DatasetError: none that is known.
    """
    found = layouts.recognise(path)
    if found is None:
        there = sorted(entry.name for entry in path.iterdir())
        raise DatasetError(
            f"{path} holds no dataset of a known layout",
            expected=layouts.described(),
            found=", ".join(there[:12]) + (", ..." if len(there) > 12 else "") or "an empty folder",
        )
    return _made(path.resolve().name, path, *found)


def _open_file(path: Path) -> DatasetFolder:
    """A table that is a dataset by itself, without test documents."""
    if not layouts.is_table(path):
        raise DatasetError(
            f"no dataset at {path}",
            expected=f"a folder, or a file that ends in {' or '.join(layouts.TABLE_SUFFIXES)}",
            found="a file",
            remedy="save a table as CSV UTF-8, as Excel workbook (.xlsx), or as JSONL",
        )
    return _made(file_name(path), path, layouts.TABLE, {"train": path})


def file_name(path: Path) -> str:
    """The name of a dataset that is one file: the file's, without its suffixes."""
    return path.name.split(".")[0] or path.name


def _made(name: str, path: Path, layout: str, files: Mapping[str, Path]) -> DatasetFolder:
    known = find_known(name)
    a, b = known.propensity if known else DEFAULT_PROPENSITY
    return DatasetFolder(name, path, layout, files, a, b, known)


def _absent(dataset: str, known: KnownDataset, folders: Sequence[Path]) -> AbsentDatasetError:
    """A published collection that is not on this machine."""
    target = folders[0] / simplified(dataset) if folders else Path("data") / simplified(dataset)
    return AbsentDatasetError(
        f"{known.name} is known but not on this machine",
        where=f"looked in {', '.join(map(str, folders))} (add folders with {DATA_VARIABLE})",
        expected=f"{target}/ with train.txt and test.txt (bag-of-words files), or with trn.json.gz, tst.json.gz and "
        f"lbl.json.gz (raw text), or of another layout, with {known.size()}",
        remedy=f"get the files from {known.page}, or use --dataset {DEMO}, which needs none",
    )


def _unknown(dataset: str, folders: Sequence[Path]) -> DatasetError:
    """A name nobody knows."""
    present = [path.name for folder in folders for path in subfolders(folder)]
    choices = {simplified(name): name for name in [*known_names(), *present, DEMO]}
    near = [choices[name] for name in difflib.get_close_matches(simplified(dataset), list(choices), n=3, cutoff=0.6)]
    here = f"; for the folder of that name here write .{os.sep}{dataset}" if Path(dataset).is_dir() else ""
    return DatasetError(
        f"no dataset {dataset!r}" + (f", did you mean {' or '.join(near)}?" if near else ""),
        where=f"looked in {', '.join(map(str, folders))} (add folders with {DATA_VARIABLE})",
        expected=f"{', '.join(dict.fromkeys([DEMO, *present]))}, a published collection, or a path{here}",
    )
