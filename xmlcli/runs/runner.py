"""Running a plan: skip what is current, make the rest, and write down what made it.

`runs/<run>/<call>.json` holds the identity of a call, by which `xmlcli.runs.identity` sees whether it is current, and
beside it what making the output took.
"""

from __future__ import annotations

import logging
import os
import platform
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from xmlcli.config.resolved import all_settings
from xmlcli.config.sections import Config
from xmlcli.distributed.ranks import ALONE, Ranks
from xmlcli.errors import UsageError
from xmlcli.machine.device import peak_gpu_memory, resolve_device
from xmlcli.machine.memory import give_back_memory, peak_memory
from xmlcli.progress import Progress, silent
from xmlcli.runs import publishing
from xmlcli.runs.identity import Identity, Status, difference, identify, why_not_current
from xmlcli.runs.plan import makers
from xmlcli.runs.stage_registry import Registry, find_stage
from xmlcli.stages.call import Call
from xmlcli.stages.job import Job
from xmlcli.storage import artifacts, files
from xmlcli.storage.atomic import atomic_file
from xmlcli.storage.workspace import Workspace, lock
from xmlcli.version import __version__

_LOG = logging.getLogger(__name__)
_PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "nmslib")


def _ignore(call: Call, what: str | float) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Session:
    """What all calls of one run share. `overrides` only go on record: the config holds them already. So does `source`,
    where the dataset lies.

    `keep`: while artifacts are made again, the complete training there was goes on answering.
    Of several `ranks` each has a session; rank 0 plans, holds the lock and writes, the others do their part.
    """

    workspace: Workspace
    config: Config
    device: str = "auto"
    ranks: Ranks = ALONE
    overrides: dict[str, Any] = field(default_factory=dict)
    source: str = ""
    keep: bool = True
    progress: Progress = silent
    registry: Registry = find_stage
    on_skip: Callable[[Call, str], None] = _ignore
    on_start: Callable[[Call, str], None] = _ignore
    on_done: Callable[[Call, float], None] = _ignore


def run(session: Session, calls: Sequence[Call], plan: Sequence[Call]) -> Status | None:
    """Make every call of `calls` that is not current, in order; `plan` is the whole plan they are of.

    Where all of the plan is current then, it is published as the run's snapshot; else the first call that is not is
    returned. Holds the run's lock throughout. Raises LockedError where another process holds it, and whatever a stage
    raises; what was finished until then stays, and the next `run` goes on from there.
    """
    is_first, trains = session.ranks.is_first, any(call.stage == "train-clf" for call in calls)
    with lock(session.workspace) if is_first else nullcontext():
        if is_first:
            publishing.tidy(session.workspace)
            publish_settings(session.workspace, session.config)
        if is_first and trains:
            _write_run(session, plan[0])
        for call in calls:
            reason = session.ranks.broadcast(partial(why_not_current, session, call))
            if reason is None:
                _LOG.info("%s is current", call.name)
                session.on_skip(call, "current")
            else:
                _LOG.info("%s begins: %s", call.name, reason)
                session.on_start(call, reason)
                if is_first and not session.keep:
                    publishing.withdraw(session.workspace)
                session.on_done(call, _make(session, call, plan))
            if is_first:
                publish_metrics(session.workspace, call)
        return publishing.publish(session, plan, trained=trains) if is_first else None


def publish_metrics(workspace: Workspace, call: Call) -> None:
    """Write the metrics file of an evaluation where it is absent or differs from the artifact's."""
    if call.stage == "evaluate" and call.cycle is not None:
        source = workspace.artifact(call.output) / "metrics.json"
        _replace(workspace.metrics(call.cycle), source.read_bytes())


def publish_settings(workspace: Workspace, config: Config) -> None:
    """Write the settings of the last command, whatever files and overrides they came from, as one YAML file.

    DVC compares its sections: a stage depends on values, wherever they stand. Hold the run's lock.
    """
    _replace(workspace.settings_path, settings_bytes(config))


def settings_bytes(config: Config) -> bytes:
    """Return all settings as YAML, in the order of `Config`."""
    import yaml

    text: str = yaml.safe_dump(all_settings(config), sort_keys=False, default_flow_style=False)
    return text.encode()


def _replace(path: Path, content: bytes) -> None:
    """Replace a file at once where its content differs."""
    if not files.holds(path, content):
        with atomic_file(path) as temporary:
            temporary.write_bytes(content)


def _make(session: Session, call: Call, plan: Sequence[Call]) -> float:
    """Run one call, write its record, and return the seconds it took."""
    workspace, ranks = session.workspace, session.ranks
    made_by = makers(list(plan))
    job = Job(
        call=call,
        workspace=workspace,
        config=session.config,
        device=resolve_device(session.device),
        ranks=ranks,
        progress=session.progress,
        makers={kind: made_by[ref].command for kind, ref in call.inputs.items() if ref in made_by},
    )
    for kind in call.inputs:
        check_enough(job.read(kind), ranks)
    identity = ranks.broadcast(partial(_open_scratch, session, job))
    started, sent = time.perf_counter(), ranks.sent
    session.registry(call.stage).load()(job)
    give_back_memory()
    note_ranks(job.notes, ranks, sent)
    seconds = time.perf_counter() - started
    if not ranks.is_first:
        return seconds
    output = artifacts.read(workspace.artifact(call.output), call.output.kind, made_by=call.command)
    record = {
        "call": call.name,
        "identity": identity,
        "output": output.identity,
        "provenance": _provenance(session, job, seconds),
    }
    files.write_json(workspace.record(call.name), record)
    shutil.rmtree(job.scratch)
    _LOG.info("%s has taken %.1f s", call.name, seconds)
    return seconds


def check_enough(artifact: artifacts.Artifact, ranks: Ranks) -> None:
    """Raise UsageError where some rank would own no label or no document."""
    fewest = min(artifact.dims.get(symbol, ranks.size) for symbol in ("N", "L"))
    if fewest < ranks.size:
        raise UsageError(
            f"{ranks.size} processes are too many for {fewest} labels or documents", where=str(artifact.folder)
        )


def note_ranks(notes: dict[str, float], ranks: Ranks, sent_before: int) -> None:
    """Note how many ranks there are, the most bytes that one of them sent, and the most memory one has used."""
    if ranks.size > 1:
        most_sent, memory = ranks.max_over_ranks(ranks.sent - sent_before), ranks.max_over_ranks(peak_memory())
        notes |= {"ranks": ranks.size, "bytes_sent_by_a_rank": most_sent, "peak_memory_bytes_of_a_rank": memory}


def _open_scratch(session: Session, job: Job) -> Identity:
    """Make the folder for checkpoints, emptied of those of another identity, and return the call's."""
    identity, path = identify(session, job.call), job.scratch / "identity.json"
    before = files.read_json(path)
    if not isinstance(before, dict) or difference(before, identity):
        shutil.rmtree(job.scratch, ignore_errors=True)
        files.write_json(path, identity)
    return identity


def _provenance(session: Session, job: Job, seconds: float) -> dict[str, object]:
    """Return what making the output took: of the last attempt where earlier ones were stopped."""
    return {
        "seconds": round(seconds, 3),
        "peak_memory_bytes": peak_memory(),
        "peak_gpu_memory_bytes": peak_gpu_memory(job.device),
        "notes": job.notes,
        "overrides": session.overrides,
        "device": job.device,
        "host": platform.node(),
        "cpus": os.cpu_count(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "xmlcli": __version__,
            "python": platform.python_version(),
            **{package: version(package) for package in _PACKAGES},
        },
    }


def _write_run(session: Session, call: Call) -> None:
    """Note with which dataset, profile and overrides the run is trained: the command that goes on with it."""
    record = {
        "dataset": call.run.dataset,
        "profile": call.run.profile,
        "name": call.run.called,
        "source": session.source,
        "overrides": session.overrides,
        "cycles": session.config.cycles,
    }
    _replace(session.workspace.record("run"), files.json_bytes(record))
