"""Join the ranks that torchrun starts, which it describes in environment variables.

    torchrun --nproc-per-node 4 -m xmlcli train --dataset NAME
    torchrun --nnodes 2 --nproc-per-node 8 --rdzv-backend c10d --rdzv-endpoint HOST:PORT -m xmlcli train --dataset NAME

All ranks see the same folder `--root`. Without torchrun's variables there is one process, and torch is not imported.
"""

from __future__ import annotations

import os
import secrets
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from xmlcli.distributed.ranks import ALONE, Ranks
from xmlcli.errors import EXIT_ERROR, EXIT_INTERRUPTED, UsageError, XmlcliError

if TYPE_CHECKING:
    from xmlcli.distributed.watchdog import OtherRankWatchdog, RankZeroWatchdog

    Watchdog: TypeAlias = RankZeroWatchdog | OtherRankWatchdog

_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@contextmanager
def joined(device: str, *, print_error: Callable[[str], None]) -> Iterator[Ranks]:
    """Yield this process's `Ranks`, connected to the others if torchrun started it; only rank 0 prints.

    `print_error` prints one line. An exception in the block ends all ranks and this process.

    Raises:
        UsageError: some of torchrun's variables are missing.
        RanksError: the ranks do not find each other.
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
        _silence()
    watchdog = _connect(rank, int(os.environ["WORLD_SIZE"]), device, print_error)
    try:
        from xmlcli.distributed.torch_collectives import TorchCollectives

        ranks = Ranks(rank, int(os.environ["WORLD_SIZE"]), TorchCollectives())
        yield ranks
        ranks.barrier()
    except BaseException as error:  # whatever it is, the other ranks must not wait for this one
        _end_all(error, rank, watchdog, print_error)
    watchdog.finish(None)
    import torch.distributed as dist

    dist.destroy_process_group()


def _end_all(error: BaseException, rank: int, watchdog: Watchdog, print_error: Callable[[str], None]) -> NoReturn:
    """End all ranks and this process, and say why; torch's threads would not let the process end by itself."""
    code, why = 1, f"rank {rank} has failed, its traceback says how" if rank else "rank 0 has failed"
    if isinstance(error, XmlcliError):
        code, why = EXIT_ERROR, "; ".join(str(error).splitlines())
    elif isinstance(error, KeyboardInterrupt):
        code, why = EXIT_INTERRUPTED, "interrupted; the same command goes on from here"
    else:
        traceback.print_exception(error, file=sys.__stderr__)
    watchdog.finish(why)
    if rank == 0 and code != 1:
        print_error(why)
    os._exit(code)


def _connect(rank: int, size: int, device: str, print_error: Callable[[str], None]) -> Watchdog:
    """Join torch's process group, start the watchdog, and give this process its share of the processors."""
    local, here = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
    _share_processors(here)
    import torch
    import torch.distributed as dist

    from xmlcli.distributed.torch_collectives import FOREVER
    from xmlcli.distributed.watchdog import OtherRankWatchdog, RankZeroWatchdog, delay_termination
    from xmlcli.machine.device import resolve_device

    delay_termination()
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
        first = RankZeroWatchdog(size, token, loopback=here == size, print_error=print_error)
        store.set("xmlcli.distributed.watchdog", f"{first.port} {token}")
        first.start()
        return first
    port, token = store.get("xmlcli.distributed.watchdog").decode().split()
    other = OtherRankWatchdog(
        rank, ("127.0.0.1" if here == size else os.environ["MASTER_ADDR"], int(port)), token, print_error=print_error
    )
    other.start()
    return other


def _share_processors(here: int) -> None:
    """Give each of `here` processes an equal share of the processors; torchrun would give each of them one."""
    if os.environ.get("OMP_NUM_THREADS", "1") == "1":
        available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        os.environ["OMP_NUM_THREADS"] = os.environ["NUMBA_NUM_THREADS"] = str(max(available // here, 1))


def _silence() -> None:
    """Let this process print nothing but tracebacks and the watchdog's line."""
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115  for as long as the process lives
