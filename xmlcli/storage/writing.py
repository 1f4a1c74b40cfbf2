"""Write artifacts: all files of a folder or none, `manifest.json` last. `artifacts` says what a folder holds.

Of several ranks the first writes its own rows and those that it gets from the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.arrays import Array
from xmlcli.distributed.ranks import ALONE, Ranks
from xmlcli.errors import ArtifactError
from xmlcli.storage import files, partial_reads, row_files
from xmlcli.storage.artifacts import check_values, identity
from xmlcli.storage.atomic import atomic_folder, sync
from xmlcli.storage.files import Json
from xmlcli.storage.kinds import KINDS, FileSpec
from xmlcli.storage.manifests import FORMAT, MANIFEST
from xmlcli.storage.verification import Stamp, record_written, stamp

if TYPE_CHECKING:
    import torch


class Writer:
    """Collects the files of one artifact in a temporary folder; made by `writer`.

    Each method takes the file's name, checks the content against the kind's table and raises ArtifactError where
    they disagree. All ranks call it: `array`, `csr` and `json` write what rank 0 gives, the others the rows of each.
    Threads of the pool read what is written once more, for its hash, and force it to the disk.
    """

    def __init__(self, folder: Path, kind: str, ranks: Ranks, pool: Executor) -> None:
        self._folder = folder
        self._kind = kind
        self._ranks = ranks
        self._pool = pool
        self._dims: dict[str, int] = {}
        self._entries: dict[str, dict[str, Json]] = {}
        self._hashes: dict[str, Future[str]] = {}
        self._synced: list[Future[None]] = []
        self._stamps: dict[str, Stamp] = {}

    def array(self, name: str, values: Array) -> None:
        """Write an array as `.npy`."""
        path, spec = self._open(name, ".npy")
        check_values(path, self._dims, spec, values.dtype, values.shape)
        if self._ranks.is_first:
            np.save(path, np.ascontiguousarray(values), allow_pickle=False)
        self._close(name, dtype=str(values.dtype), shape=list(values.shape))

    def rows(self, name: str, own: Array) -> None:
        """Write an array of which each rank gives its rows."""
        with self.open_rows(name, own.dtype, own.shape) as append:
            append(own)

    @contextmanager
    def open_rows(self, name: str, dtype: npt.DTypeLike, own: tuple[int, ...]) -> Iterator[Callable[[Array], None]]:
        """Yield a function that takes this rank's rows of an array block by block, so many as the shape `own` says."""
        path, spec = self._open(name, ".npy")
        shape = (int(self._ranks.sum_over_ranks(own[0])), *own[1:])
        check_values(path, self._dims, spec, np.dtype(dtype), shape)
        with row_files.open_rows(path, dtype, own, self._ranks) as append:
            yield append
        self._close(name, dtype=str(np.dtype(dtype)), shape=list(shape))

    def csr(self, name: str, matrix: sp.csr_matrix | sp.csr_array) -> None:
        """Write a CSR matrix as `.npz`."""
        path, spec = self._open(name, ".npz")
        check_values(path, self._dims, spec, matrix.dtype, matrix.shape)
        if self._ranks.is_first:
            files.save_csr(path, matrix)
        self._close(name, dtype=str(matrix.dtype), shape=list(matrix.shape))

    def csr_rows(self, name: str, own: sp.csr_matrix) -> None:
        """Write a CSR matrix of which each rank gives its rows."""
        path, spec = self._open(name, ".npz")
        shape = row_files.save_csr_rows(path, own, self._ranks)
        check_values(path, self._dims, spec, own.dtype, shape)
        self._close(name, dtype=str(own.dtype), shape=list(shape))

    def json(self, name: str, value: Json) -> None:
        """Write JSON with sorted keys; no times, hosts, paths or versions, please."""
        path, _ = self._open(name, ".json")
        if self._ranks.is_first:
            path.write_bytes(files.json_bytes(value))
        self._close(name)

    def tensors(self, name: str, tensors: Mapping[str, torch.Tensor], *, split: Set[str] = frozenset()) -> None:
        """Write named tensors as `.safetensors`; of those in `split` each rank gives its rows."""
        path, _ = self._open(name, ".safetensors")
        if split:
            row_files.save_tensor_rows(path, tensors, split, self._ranks)
        elif self._ranks.is_first:
            files.save_tensors(path, tensors)
        if self._ranks.is_first:
            self._close(name, tensors=files.tensor_shapes(path))

    def written_csr(self, name: str) -> sp.csr_matrix | None:
        """Return a matrix that rank 0 has written, read from the disk as it is used; None where it wrote none."""
        path = self._folder / name
        return partial_reads.map_csr(path) if path.exists() else None

    def finish(self) -> dict[str, Stamp]:
        """Write the manifest and return the stamps of the files; ArtifactError where one of the kind is missing."""
        missing = [n for n, spec in KINDS[self._kind].items() if not spec.optional and n not in self._entries]
        if missing:
            raise ArtifactError(
                f"the {self._kind} artifact is not complete", where=str(self._folder), found=f"no {', '.join(missing)}"
            )
        for done in self._synced:
            done.result()
        for name, hashed in self._hashes.items():
            self._entries[name]["sha256"] = hashed.result()
        manifest = {"format": FORMAT, "kind": self._kind, "dims": self._dims, "files": self._entries}
        (self._folder / MANIFEST).write_bytes(files.json_bytes(manifest))
        sync(self._folder / MANIFEST)
        return self._stamps

    def _open(self, name: str, suffix: str) -> tuple[Path, FileSpec]:
        spec = KINDS[self._kind].get(name)
        path = self._folder / name
        if spec is None or path.suffix != suffix or name in self._entries:
            raise ArtifactError(
                f"cannot write {name!r} as a {suffix} file of the {self._kind} artifact",
                expected=f"once each of {', '.join(KINDS[self._kind])}",
            )
        return path, spec

    def _close(self, name: str, **described: Json) -> None:
        if not self._ranks.is_first:
            return
        path = self._folder / name
        path.chmod(0o666 & self._folder.stat().st_mode)  # safetensors makes files that nobody else may read
        self._stamps[name] = stamp(path)
        self._entries[name] = {"bytes": self._stamps[name][0], **described}
        self._hashes[name] = self._pool.submit(files.sha256_file, path)
        self._synced.append(self._pool.submit(sync, path))


@contextmanager
def writer(folder: Path, kind: str, ranks: Ranks = ALONE, *, verified: Path | None = None) -> Iterator[Writer]:
    """Yield a Writer; when the block ends well, `folder` is the new artifact, replacing an older one.

    The caller holds the run's lock. Whatever ends the block early, kill -9 included, leaves the old artifact or none.
    `verified` is the record of verified files, see `xmlcli.storage.verification`; what was written is added to it.
    """
    stamps: dict[str, Stamp] = {}
    with atomic_folder(folder) if ranks.is_first else nullcontext() as temporary, ThreadPoolExecutor(2) as pool:
        out = Writer(ranks.broadcast(lambda: temporary or folder), kind, ranks, pool)
        yield out
        if ranks.is_first:
            stamps = out.finish()
    if verified is not None and (made := identity(folder)) and stamps:
        record_written(verified, made, stamps)
    ranks.barrier()
