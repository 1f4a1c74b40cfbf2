"""Becoming one of several ranks: what torchrun says in the environment, connected up.

    torchrun --nproc-per-node 4 -m xmlcli train --dataset NAME
    torchrun --nnodes 2 --nproc-per-node 8 --rdzv-backend c10d --rdzv-endpoint HOST:PORT -m xmlcli train --dataset NAME

All ranks see the same folder of `--root`. Without torchrun's variables there is one process, and no torch is imported.
"""

from __future__ import annotations

import os
import secrets
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from xmlcli.distributed.ranks import ALONE, Ranks
from xmlcli.errors import EXIT_ERROR, EXIT_INTERRUPTED, UsageError, XmlcliError

if TYPE_CHECKING:
    from xmlcli.distributed.watchdog import FirstWatch, OtherWatch

_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@contextmanager
def joined(device: str, *, tell: Callable[[str], None]) -> Iterator[Ranks]:
    """Yield this process's `Ranks`; connected to the others where torchrun started it, and only rank 0 prints.

    `tell` prints an error's line. An exception in the block ends all ranks and this process. Raises UsageError for half
    of torchrun's variables, RanksError where the ranks do not find each other.
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
        from xmlcli.distributed.torch_collectives import TorchCollectives

        ranks = Ranks(rank, int(os.environ["WORLD_SIZE"]), TorchCollectives())
        yield ranks
        ranks.barrier()
    except BaseException as error:  # whatever it is, the other ranks must not wait for this one
        _end(error, rank, watch, tell)
    watch.finish(None)
    _leave()


def _end(error: BaseException, rank: int, watch: FirstWatch | OtherWatch, tell: Callable[[str], None]) -> NoReturn:
    """End all ranks, saying why, and this process with them: threads of torch would not let it end by itself."""
    code, why = 1, f"rank {rank} has failed, its traceback says how" if rank else "rank 0 has failed"
    if isinstance(error, XmlcliError):
        code, why = EXIT_ERROR, "; ".join(str(error).splitlines())
    elif isinstance(error, KeyboardInterrupt):
        code, why = EXIT_INTERRUPTED, "interrupted; the same command goes on from here"
    else:
        traceback.print_exception(error, file=sys.__stderr__)
    watch.finish(why)
    if rank == 0 and code != 1:
        tell(why)
    os._exit(code)


def _leave() -> None:
    import torch.distributed as dist

    dist.destroy_process_group()


def _connect(rank: int, size: int, device: str, tell: Callable[[str], None]) -> FirstWatch | OtherWatch:
    """Join torch's process group, start the watch, and give each process of this machine its part of it."""
    local, here = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
    _share_processors(here)
    import torch
    import torch.distributed as dist

    from xmlcli.distributed.torch_collectives import FOREVER
    from xmlcli.distributed.watchdog import FirstWatch, OtherWatch, wait_when_terminated
    from xmlcli.machine.device import resolve_device

    wait_when_terminated()
    gpus = torch.cuda.device_count() if resolve_device(device) == "cuda" else 0
    if gpus:
        torch.cuda.set_device(local % gpus)
    if gpus >= here:
        dist.init_process_group("cpu:gloo,cuda:nccl", timeout=FOREVER, device_id=torch.device("cuda", local))
    else:  # NCCL takes no two processes on one GPU, gloo carries its tensors too
        dist.init_process_group("gloo", timeout=FOREVER)
    store = dist.distributed_c10d._get_default_store()
    if rank == 0:
        token = secrets.token_hex(16)
        first = FirstWatch(size, token, loopback=here == size, tell=tell)
        store.set("xmlcli.distributed.watchdog", f"{first.port} {token}")
        first.start()
        return first
    port, token = store.get("xmlcli.distributed.watchdog").decode().split()
    other = OtherWatch(rank, ("127.0.0.1" if here == size else os.environ["MASTER_ADDR"], int(port)), token, tell=tell)
    other.start()
    return other


def _share_processors(here: int) -> None:
    """Give each of the processes `here` its part of the machine's processors; torchrun's own choice is one for each."""
    if os.environ.get("OMP_NUM_THREADS", "1") == "1":
        available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        os.environ["OMP_NUM_THREADS"] = os.environ["NUMBA_NUM_THREADS"] = str(max(available // here, 1))


def _fall_silent() -> None:
    """Let this process print nothing but tracebacks, and what the watch has to say."""
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115  for as long as the process lives
