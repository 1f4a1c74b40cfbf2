"""Fetch a published collection: download, unpack, compare with the published counts, and only then move into place.

Everything happens in the hidden folder `.fetch-<name>` beside the dataset's future folder. It is removed when
fetching fails; after Ctrl-C or a kill it keeps what was downloaded, and the next call goes on from there.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from xmlcli.datasets.find import DatasetFolder, as_path, open_folder
from xmlcli.datasets.formats import layouts
from xmlcli.datasets.formats.raw import RawDataset
from xmlcli.datasets.load import read_dataset
from xmlcli.datasets.published.catalogue import KnownDataset
from xmlcli.datasets.published.download import Patience, download
from xmlcli.datasets.published.unpack import unpack
from xmlcli.errors import DatasetError, LockedError
from xmlcli.progress import Progress, silent


def fetch(
    known: KnownDataset,
    data: Path,
    *,
    addresses: Sequence[str] | None = None,
    patience: Patience | None = None,
    progress: Progress = silent,
) -> DatasetFolder:
    """Fetch a collection into a folder of its name.

    Args:
        known: the collection.
        data: the folder that holds datasets; made where it does not exist.
        addresses: where to get the archive, tried in turn, http addresses or files here; by default those known.
        patience: how long to bear with a server.
        progress: told what is done, how much of it, and how much there is.

    Returns:
        the dataset, in `data/<name>`.

    Raises:
        DatasetError: nobody offers the collection, or what each offers is not it; says why for each.
        LockedError: another process fetches it.
    """
    target = data / known.name
    if target.exists():
        raise DatasetError(f"{target} is in the way", remedy="move it away, or use it with --dataset")
    tried = known.addresses if addresses is None else tuple(addresses)
    if not tried:
        raise DatasetError(f"no address of {known.name} is known", remedy=by_hand(known, data))
    with _staging(data / f".fetch-{known.name}") as staging:
        reasons = []
        for address in tried:
            try:
                complete = _obtain(known, address, staging, patience, progress, checked=addresses is None)
            except DatasetError as error:
                reasons.append(", ".join(str(error).split("\n")))
                shutil.rmtree(staging / "unpacked", ignore_errors=True)
                continue
            complete.replace(target)
            return open_folder(target)
        raise DatasetError(f"{known.name} could not be fetched", found="; ".join(reasons), remedy=by_hand(known, data))


def by_hand(known: KnownDataset, data: Path) -> str:
    """Return in words how to get a collection without `fetch`."""
    return (
        f"download its archive with a browser from {known.page}, then xmlcli fetch {known.name} --url FILE, "
        f"or unpack it into {data / known.name}/"
    )


def _obtain(
    known: KnownDataset, address: str, staging: Path, patience: Patience | None, progress: Progress, *, checked: bool
) -> Path:
    """Download and unpack from one address; the folder inside `staging` that holds the collection."""
    mine = "://" in address
    archive = staging / "archive" if mine else as_path(address)
    if not mine and not archive.is_file():
        raise DatasetError(f"no file {address}", expected="an http address, or an archive on this machine")
    if mine:
        download(address, archive, md5=known.md5 if checked else None, patience=patience, progress=progress)
    try:
        unpack(archive, staging / "unpacked", progress=progress)
    finally:
        if mine:
            archive.unlink(missing_ok=True)
    folder = _dataset_inside(staging / "unpacked")
    opened = open_folder(folder)
    _check_counts(known, read_dataset(opened, progress=progress))
    return folder


def _dataset_inside(folder: Path) -> Path:
    """Return the outermost folder in which a layout is recognised.

    Raises:
        DatasetError: there is none, or several beside each other.
    """
    level = [folder]
    while level:
        fitting = [path for path in level if layouts.recognise(path) is not None]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            names = ", ".join(str(path.relative_to(folder)) for path in fitting)
            raise DatasetError("the archive holds several datasets", expected="one", found=names)
        level = sorted(inner for path in level for inner in path.iterdir() if inner.is_dir())
    there = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    raise DatasetError(
        "the archive holds no dataset of a known layout",
        expected=layouts.described(),
        found=", ".join(there[:12]) + (", ..." if len(there) > 12 else "") or "an empty archive",
    )


def _check_counts(known: KnownDataset, dataset: RawDataset) -> None:
    """Raise DatasetError if a count differs from the published one."""
    train, test = dataset.train, dataset.test
    counts = {
        "labels": train.Y.shape[1],
        "training documents": train.Y.shape[0],
        "test documents": 0 if test is None else test.Y.shape[0],
    }
    if train.X is not None:
        counts["features"] = train.X.shape[1]
    published = known.counted()
    wrong = [name for name in counts if name in published and counts[name] != published[name]]
    if wrong:
        raise DatasetError(
            f"the files are not those of {known.name}",
            expected=", ".join(f"{published[name]:,} {name}" for name in wrong),
            found=", ".join(f"{counts[name]:,} {name}" for name in wrong),
        )


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """Yield a hidden folder for one process at a time. It is removed unless the block is interrupted."""
    made = [path for path in (folder.parent, *folder.parent.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockedError(f"another process is fetching into {folder}", remedy="wait for it") from error
        shutil.rmtree(folder / "unpacked", ignore_errors=True)
        try:
            yield folder
        except (KeyboardInterrupt, SystemExit):
            shutil.rmtree(folder / "unpacked", ignore_errors=True)
            raise
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            for path in made:
                path.rmdir()
            raise
        shutil.rmtree(folder, ignore_errors=True)
