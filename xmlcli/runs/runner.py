"""Running a plan: skip what is current, make the rest, and write down what made it.

A call is current when its output is complete and `runs/<run>/<call>.json` holds the identity that the call would have
now: the stage's VERSION, the parameters it depends on, the manifest hashes of its inputs and, for prepare, the hashes
of the raw files. Time, host and versions are written beside the identity and never compared.
"""

from __future__ import annotations

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
from typing import Any

from xmlcli.config.sections import Config
from xmlcli.distributed.ranks import ALONE, Ranks
from xmlcli.errors import DatasetError, UsageError, XmlcliError
from xmlcli.machine.device import peak_gpu_memory, resolve_device
from xmlcli.machine.memory import give_back_memory, peak_memory
from xmlcli.progress import Progress, silent
from xmlcli.runs.plan import makers
from xmlcli.runs.stage_registry import Registry, find_stage
from xmlcli.stages.call import Call
from xmlcli.stages.job import Job
from xmlcli.storage import artifacts, files
from xmlcli.storage.artifacts import identity as artifact_identity
from xmlcli.storage.atomic import atomic_file
from xmlcli.storage.workspace import Workspace, lock
from xmlcli.version import __version__

Identity = dict[str, Any]
_PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "nmslib")


def _ignore(call: Call, what: str | float) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Session:
    """What all calls of one run share. `overrides` only go on record: the config holds them already.

    Of several `ranks` each has a session; rank 0 plans, holds the lock and writes, the others do their part.
    """

    workspace: Workspace
    config: Config
    device: str = "auto"
    ranks: Ranks = ALONE
    overrides: dict[str, Any] = field(default_factory=dict)
    progress: Progress = silent
    registry: Registry = find_stage
    on_skip: Callable[[Call, str], None] = _ignore
    on_start: Callable[[Call, str], None] = _ignore
    on_done: Callable[[Call, float], None] = _ignore


@dataclass(frozen=True)
class Status:
    """Whether a call would run, and why."""

    call: Call
    current: bool
    reason: str


def status(session: Session, calls: Sequence[Call]) -> list[Status]:
    """Return for each call of a plan whether it would run now; nothing is written."""
    stale: dict[object, Call] = {}
    result = []
    for call in calls:
        waiting = [stale[ref] for ref in call.inputs.values() if ref in stale]
        reason = f"{waiting[-1].name} runs first" if waiting else why_not_current(session, call)
        if reason:
            stale[call.output] = call
        result.append(Status(call, reason is None, reason or "current"))
    return result


def why_not_current(session: Session, call: Call) -> str | None:
    """Return the reason why the call has to run, None where its output is current."""
    workspace = session.workspace
    output = artifact_identity(workspace.artifact(call.output))
    if output is None:
        return "no output yet"
    record = files.read_json(workspace.record(call.name))
    if not isinstance(record, dict) or not isinstance(record.get("identity"), dict):
        return "nothing says what made the output"
    if record.get("output") != output:
        return "the output is not the one on record"
    try:
        artifacts.read(workspace.artifact(call.output), call.output.kind, made_by=call.command)
    except XmlcliError:
        return "the output is damaged"
    return _difference(record["identity"], _identity(session, call, recorded=record["identity"]))


def run(session: Session, calls: Sequence[Call], plan: Sequence[Call]) -> None:
    """Make every call of `calls` that is not current, in order; `plan` is the whole plan they are of.

    Holds the run's lock throughout. Raises LockedError where another process holds it, and whatever a stage raises;
    what was finished until then stays, and the next `run` goes on from there.
    """
    is_first = session.ranks.is_first
    with lock(session.workspace) if is_first else nullcontext():
        for call in calls:
            reason = session.ranks.broadcast(partial(why_not_current, session, call))
            if reason is None:
                session.on_skip(call, "current")
            else:
                session.on_start(call, reason)
                session.on_done(call, _make(session, call, plan))
            if is_first:
                publish(session.workspace, call)
        if is_first and any(call.stage == "train-clf" for call in calls):
            _write_run(session, plan[0])


def publish(workspace: Workspace, call: Call) -> None:
    """Write the metrics file of an evaluation where it is absent or differs from the artifact's."""
    if call.stage != "evaluate" or call.cycle is None:
        return
    source, target = workspace.artifact(call.output) / "metrics.json", workspace.metrics(call.cycle)
    if not target.exists() or target.read_bytes() != source.read_bytes():
        with atomic_file(target) as path:
            path.write_bytes(source.read_bytes())


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
    identity, path = _identity(session, job.call), job.scratch / "identity.json"
    if files.read_json(path) != identity:
        shutil.rmtree(job.scratch, ignore_errors=True)
        files.write_json(path, identity)
    return identity


def _identity(session: Session, call: Call, recorded: Identity | None = None) -> Identity:
    """Return what the call's output follows from.

    Where the raw dataset is not on this machine, the sources on record are taken as still true.
    """
    stage = session.registry(call.stage)
    identity: Identity = {
        "stage": call.stage,
        "VERSION": stage.version,
        "parameters": session.config.parameters(stage.sections),
        "inputs": {
            kind: artifact_identity(session.workspace.artifact(ref)) for kind, ref in sorted(call.inputs.items())
        },
    }
    if stage.sources is not None:
        try:
            identity["sources"] = stage.sources()(Job(call, session.workspace, session.config))
        except DatasetError:
            if recorded is None:
                raise
            identity["sources"] = recorded.get("sources")
    return identity


def _difference(old: Identity, new: Identity) -> str | None:
    """Say in a few words what differs between two identities."""
    if old == new:
        return None
    if old.get("VERSION") != new["VERSION"]:
        return f"{new['stage']} is at VERSION {new['VERSION']}, was {old.get('VERSION')}"
    for part, noun in (("inputs", "input"), ("sources", "raw file"), ("parameters", "parameter")):
        before, now = _flat(old.get(part)), _flat(new.get(part))
        changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
        if changed and part == "parameters":
            return ", ".join(f"{key} is {now.get(key)}, was {before.get(key)}" for key in changed)
        if changed:
            return f"{noun} {', '.join(changed)} changed"
    return "another identity"


def _flat(value: object, prefix: str = "") -> dict[str, object]:
    """Return nested dictionaries as {"outer.inner": value}."""
    if not isinstance(value, dict):
        return {prefix.rstrip("."): value}
    return {k: v for key, inner in value.items() for k, v in _flat(inner, f"{prefix}{key}.").items()}


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
    """Note which dataset, profile and overrides the run's folder stands for, and when it was last trained."""
    files.write_json(
        session.workspace.record("run"),
        {
            "dataset": call.run.dataset,
            "profile": call.run.profile,
            "overrides": session.overrides,
            "cycles": session.config.cycles,
            "finished": datetime.now(UTC).isoformat(timespec="microseconds"),
        },
    )
