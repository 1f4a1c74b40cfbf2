"""Whether a call's output is current: what the output follows from, now and when it was made.

A call is current when its output is complete and `runs/<run>/<call>.json` holds the identity that the call would have
now: the stage's VERSION, the parameters it depends on, the manifest hashes of its inputs and, for prepare, the hashes
of the raw files. Time, host and versions are written beside the identity and never compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xmlcli.config.overrides import flatten
from xmlcli.config.retired import ADDED, RETIRED
from xmlcli.errors import DamagedFileError, DatasetError, XmlcliError
from xmlcli.stages.call import Call
from xmlcli.stages.job import Job
from xmlcli.storage import artifacts, files
from xmlcli.storage.verification import verify_opened

if TYPE_CHECKING:
    from xmlcli.runs.runner import Session

Identity = dict[str, Any]

_MOST_SHOWN = 200


@dataclass(frozen=True)
class Status:
    """Whether a call would run, and why."""

    call: Call
    current: bool
    reason: str


def status(session: Session, calls: Sequence[Call]) -> list[Status]:
    """Return for each call of a plan whether it would run now; nothing is written but what was hashed."""
    stale: dict[object, Call] = {}
    result = []
    for call in calls:
        waiting = [stale[ref] for ref in call.inputs.values() if ref in stale]
        try:
            reason = f"{waiting[-1].name} runs first" if waiting else why_not_current(session, call)
        except PermissionError as error:
            reason = f"{error.filename}: {error.strerror}"
        if reason:
            stale[call.output] = call
        result.append(Status(call, reason is None, reason or "current"))
    return result


def why_not_current(session: Session, call: Call) -> str | None:
    """Return the reason why the call has to run, None where its output is current, and each file as it was written.

    Raises PermissionError for a file that may not be read, which is no reason to make it again.
    """
    workspace = session.workspace
    output = artifacts.identity(workspace.artifact(call.output))
    if output is None:
        return "no output yet"
    record = files.read_json(workspace.record(call.name))
    if record is None or not isinstance(record.get("identity"), dict):
        return "nothing says what made the output"
    if record.get("output") != output:
        return "the output is not the one on record"
    try:
        artifact = artifacts.read(workspace.artifact(call.output), call.output.kind, made_by=call.command)
        verify_opened([artifact], workspace.verified_path, session.progress)
    except DamagedFileError as error:
        return f"the output is damaged: {error.name}"
    except XmlcliError:
        return "the output is damaged"
    return difference(record["identity"], identify(session, call, recorded=record["identity"]))


def identify(session: Session, call: Call, recorded: Identity | None = None) -> Identity:
    """Return what the call's output follows from.

    Where the raw dataset is not on this machine, the sources on record are taken as still true. Without a record that
    raises DatasetError.
    """
    stage = session.registry(call.stage)
    identity: Identity = {
        "stage": call.stage,
        "VERSION": stage.version,
        "parameters": session.config.parameters(stage.sections),
        "inputs": {
            kind: artifacts.identity(session.workspace.artifact(ref)) for kind, ref in sorted(call.inputs.items())
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


def difference(old: Identity, new: Identity) -> str | None:
    """Say in a few words what differs between two identities; None where nothing does.

    A setting on record that is retired since is compared with the value that the program now always uses, one that came
    later with the value that does what the program did before.
    """
    parameters = flatten(new["parameters"])
    added = {key: value for key, value in ADDED.items() if key in parameters}
    old = {**old, "parameters": added | flatten(old.get("parameters"))}
    retired = {key: value for key, value in RETIRED.items() if key in old["parameters"]}
    new = {**new, "parameters": parameters | retired}
    if old == new:
        return None
    if old.get("VERSION") != new["VERSION"]:
        return _shown(f"{new['stage']} is at VERSION {new['VERSION']}, was {old.get('VERSION')}")
    for part, noun in (("inputs", "input"), ("sources", "raw file"), ("parameters", "parameter")):
        before, now = flatten(old.get(part)), flatten(new.get(part))
        changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
        if changed and part == "parameters":
            return ", ".join(_shown(f"{key} is {now.get(key)}, was {before.get(key)}") for key in changed)
        if changed:
            return f"{noun} {_shown(', '.join(changed))} changed"
    return "another identity"


def _shown(text: str) -> str:
    """Return a text that holds values of a record, which may be damaged, as one that can be printed."""
    shown = "".join(c if c.isprintable() else "\ufffd" for c in text[:_MOST_SHOWN])
    return shown if len(text) <= _MOST_SHOWN else f"{shown}..."
