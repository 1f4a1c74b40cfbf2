"""When a record says that an output is current: settings that were retired since, and those that were not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.fake_stages import make_config, make_session, stage, train_clf

from xmlcli.config.retired import RETIRED
from xmlcli.runs import runner
from xmlcli.runs.identity import difference, identify, status
from xmlcli.runs.plan import find_call, plan
from xmlcli.runs.runner import Session
from xmlcli.stages.call import RunId
from xmlcli.stages.job import Job
from xmlcli.storage import verification

RUN = RunId("demo")


@pytest.fixture
def made(tmp_path: Path) -> Session:
    """A run that was made."""
    session = make_session(tmp_path, make_config(cycles=1))
    calls = plan(session.config, RUN)
    runner.run(session, calls, calls)
    return session


def edit_records(session: Session, edit: Callable[[dict[str, Any]], None]) -> None:
    """Change the recorded parameters of every call, by section."""
    for path in session.workspace.record("run").parent.glob("*.json"):
        record = json.loads(path.read_text())
        if "identity" in record:
            edit(record["identity"]["parameters"])
            path.write_text(json.dumps(record))


def not_current(session: Session) -> dict[str, str]:
    return {s.call.name: s.reason for s in status(session, plan(session.config, RUN)) if not s.current}


def with_retired(parameters: dict[str, Any], **others: object) -> None:
    """Add to recorded parameters what runs of before recorded, and with other values what is said."""
    for key, value in RETIRED.items():
        section, _, name = key.partition(".")
        if section in parameters:
            parameters[section][name] = others.get(name, value)


def test_a_record_with_a_retired_setting_at_the_value_now_always_used_is_current(made: Session) -> None:
    edit_records(made, with_retired)
    assert not_current(made) == {}


def test_a_record_with_another_value_of_a_retired_setting_says_so(made: Session) -> None:
    edit_records(made, lambda parameters: with_retired(parameters, ngram_max=2, residual_rate=0.5))
    reasons = not_current(made)
    assert reasons["prepare"] == "prepare.ngram_max is 1, was 2"
    call = find_call(plan(made.config, RUN), "train-clf", 1)
    old = json.loads(made.workspace.record(call.name).read_text())["identity"]
    assert difference(old, identify(made, call)) == "clf.residual_rate is 1.0, was 0.5"


def test_a_recorded_setting_that_never_was_retired_makes_a_difference(made: Session) -> None:
    edit_records(made, lambda parameters: parameters.get("prepare", {}).update(unheard_of=1))
    assert not_current(made)["prepare"] == "prepare.unheard_of is None, was 1"


def test_identities_of_another_form_are_different(made: Session) -> None:
    new = identify(made, find_call(plan(made.config, RUN), "init-clf", None))
    assert difference(new, new) is None
    assert difference({**new, "more": 1}, new) == "another identity"
    assert difference({**new, "parameters": 3}, new) is not None
    assert difference({}, new) is not None


def test_values_of_a_record_are_shown_short_and_without_control_characters(made: Session) -> None:
    edit_records(made, lambda parameters: parameters.get("clf", {}).update(epochs="\x1b[31m\n\ud800" + "9" * 5000))
    reason = not_current(made)["train-clf-1"]
    assert reason.startswith("clf.epochs is ")
    assert reason.isprintable()
    assert len(reason) < 300


@pytest.mark.parametrize("content", [b"", b"[]", b'{"a":' * 100_000, b"\xff", b'{"identity": 3, "output": 1e999}'])
def test_a_damaged_record_makes_its_call_run_and_no_other(made: Session, content: bytes) -> None:
    made.workspace.record("shortlist-1").write_bytes(content)
    calls = plan(made.config, RUN)
    assert not_current(made)["shortlist-1"] == "nothing says what made the output"
    started: list[str] = []
    runner.run(replace(made, on_start=lambda call, why: started.append(call.name)), calls, calls)
    assert started == ["shortlist-1"]


@pytest.mark.parametrize("content", [b"", b"[]", b'{"a":' * 100_000, b"\xff", b'{"parameters": [[]], "inputs": 1}'])
def test_checkpoints_beside_a_damaged_identity_are_not_used(tmp_path: Path, content: bytes) -> None:
    session = make_session(tmp_path, make_config(cycles=1))
    scratch = session.workspace.scratch("train-clf-1")
    scratch.mkdir(parents=True)
    (scratch / "identity.json").write_bytes(content)
    (scratch / "checkpoint").write_text("of something")
    seen: list[bool] = []

    def watched(job: Job) -> None:
        seen.append((job.scratch / "checkpoint").exists())
        train_clf(job)

    session = make_session(tmp_path, make_config(cycles=1), {"train-clf": stage(watched, "seed", "clf")})
    calls = plan(session.config, RUN)
    runner.run(session, calls, calls)
    assert seen == [False]


def test_what_a_run_has_written_is_hashed_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "SMALL", 0)  # all files are large
    hashed: list[str] = []
    whole = verification._sha256

    def watched(path: Path, advance: Callable[[int], None]) -> str:
        hashed.append(path.name)
        return whole(path, advance)

    monkeypatch.setattr(verification, "_sha256", watched)
    session = make_session(tmp_path, make_config(cycles=1))
    calls = plan(session.config, RUN)
    runner.run(session, calls, calls)
    runner.run(session, calls, calls)
    assert hashed == []
    session.workspace.verified_path.unlink()
    runner.run(session, calls, calls)
    assert len(hashed) > 20
