"""Becoming one of several ranks: what torchrun says in the environment, connected up.

    torchrun --nproc-per-node 4 -m xmlcli train --dataset NAME
    torchrun --nnodes 2 --nproc-per-node 8 --rdzv-backend c10d --rdzv-endpoint HOST:PORT -m xmlcli train --dataset NAME

All ranks see the same folder of `--root`. Without torchrun's variables there is one process, and no torch is imported.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING

from xmlcli.errors import UsageError, XmlcliError
from xmlcli.ranks import ALONE, Ranks

if TYPE_CHECKING:
    from xmlcli.watch import FirstWatch, OtherWatch

_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_FOREVER = timedelta(days=365)  # a rank waits as long as another computes; `xmlcli.watch` notices when one has gone


@contextmanager
def joined(device: str, *, tell: Callable[[str], None]) -> Iterator[Ranks]:
    """Yield this process's `Ranks`; connected to the others where torchrun started it, and only rank 0 prints.

    `tell` prints an error's line. Whatever ends the block ends all ranks. Raises UsageError for half of torchrun's
    variables, RanksError where the ranks do not find each other.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        yield ALONE
        return
    missing = [name for name in _VARIABLES if name not in os.environ]
    if missing:
        raise UsageError(
            "WORLD_SIZE is set as by torchrun, other variables are not",
            found=f"no {', '.join(missing)}",
            remedy="start by torchrun, or unset WORLD_SIZE",
        )
    rank = int(os.environ["RANK"])
    if rank:
        _fall_silent()
    watch = _connect(rank, int(os.environ["WORLD_SIZE"]), device, tell)
    try:
        from xmlcli.link import TorchLink

        yield Ranks(rank, int(os.environ["WORLD_SIZE"]), TorchLink())
    except XmlcliError as error:
        watch.finish("; ".join(str(error).splitlines()))
        raise
    except KeyboardInterrupt:
        watch.finish("interrupted" if rank == 0 else None)
        raise
    except BaseException:
        watch.finish("a bug" if rank == 0 else f"rank {rank} has failed, see its traceback")
        raise
    watch.finish(None)


def _connect(rank: int, size: int, device: str, tell: Callable[[str], None]) -> FirstWatch | OtherWatch:
    """Join torch's process group, start the watch, and give each process of this machine its part of it."""
    import torch
    import torch.distributed as dist
    from numba import get_num_threads, set_num_threads

    from xmlcli.device import resolve_device
    from xmlcli.watch import FirstWatch, OtherWatch, wait_when_terminated

    local, here = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
    wait_when_terminated()
    if resolve_device(device) == "cuda":
        torch.cuda.set_device(local)
        dist.init_process_group("cpu:gloo,cuda:nccl", timeout=_FOREVER, device_id=torch.device("cuda", local))
    else:
        threads = max(get_num_threads() // here, 1)
        set_num_threads(threads)
        torch.set_num_threads(threads)
        dist.init_process_group("gloo", timeout=_FOREVER)
    store = dist.PrefixStore("xmlcli", dist.distributed_c10d._get_default_store())
    if rank == 0:
        token = secrets.token_hex(16)
        first = FirstWatch(size, token, loopback=here == size, tell=tell)
        store.set("watch", f"{first.port} {token}")
        first.start()
        return first
    port, token = store.get("watch").decode().split()
    other = OtherWatch(rank, ("127.0.0.1" if here == size else os.environ["MASTER_ADDR"], int(port)), token, tell=tell)
    other.start()
    return other


def _fall_silent() -> None:
    """Let this process print nothing but tracebacks, and what the watch has to say."""
    silent, real = open(os.devnull, "w"), sys.stderr  # noqa: SIM115  for as long as the process lives
    sys.stdout = sys.stderr = silent

    def show(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        sys.stderr = real
        sys.__excepthook__(kind, error, traceback)

    sys.excepthook = show
