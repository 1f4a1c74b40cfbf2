"""Running plans over fake stages: what is skipped, what is made again and why, and what a stop leaves behind."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.fake_stages import FAKES, embed_labels, make_config, make_session, stage, train_clf
from support.paths import PROJECT

from xmlcli.config.sections import Config
from xmlcli.errors import ArtifactError, DamagedFileError, DatasetError, LockedError
from xmlcli.runs import runner
from xmlcli.runs.identity import status, why_not_current
from xmlcli.runs.plan import find_call, plan
from xmlcli.runs.runner import Session
from xmlcli.runs.stage_registry import Stage
from xmlcli.stages.call import Call, RunId
from xmlcli.stages.job import Job
from xmlcli.storage import artifacts

RUN = RunId("demo")


def run(root: Path, config: Config | None = None, stages: dict[str, Stage] | None = None) -> list[str]:
    """Run the whole plan and return the calls that were made."""
    made: list[str] = []
    session = make_session(root, config, stages)
    session = replace(session, on_start=lambda call, reason: made.append(call.name))
    calls = plan(session.config, RUN)
    runner.run(session, calls, calls)
    return made


def reasons(session: Session) -> dict[str, str]:
    return {s.call.name: s.reason for s in status(session, plan(session.config, RUN)) if not s.current}


def identities(root: Path, config: Config) -> dict[str, str | None]:
    session = make_session(root, config)
    return {c.name: artifacts.identity(session.workspace.artifact(c.output)) for c in plan(config, RUN)}


def test_everything_is_made_once_and_nothing_again(tmp_path: Path) -> None:
    config = make_config(cycles=2)
    assert run(tmp_path, config) == [call.name for call in plan(config, RUN)]
    assert run(tmp_path, config) == []
    assert reasons(make_session(tmp_path, config)) == {}


def test_a_parameter_of_phase_3_makes_phase_3_onward_again(tmp_path: Path) -> None:
    run(tmp_path, make_config(cycles=1))
    changed = make_config(cycles=1, clf__epochs=9)
    session = make_session(tmp_path, changed)
    assert reasons(session) == {
        "train-clf-1": f"clf.epochs is 9, was {make_config().clf.epochs}",
        "embed-labels-2": "train-clf-1 runs first",
        "combine-1": "embed-labels-2 runs first",
        "finish-1": "train-clf-1 runs first",
        "embed-labels-3": "embed-labels-2 runs first",
        "evaluate-1": "combine-1 runs first",
    }
    again = ["train-clf-1", "embed-labels-2", "combine-1", "finish-1", "embed-labels-3", "evaluate-1"]
    assert run(tmp_path, changed) == again


def test_making_again_stops_where_the_bytes_come_out_the_same(tmp_path: Path) -> None:
    run(tmp_path, make_config(cycles=1))
    assert run(tmp_path, make_config(cycles=1, shortlist__size=9)) == ["shortlist-1"]


def test_more_cycles_add_to_what_is_there(tmp_path: Path) -> None:
    run(tmp_path, make_config(cycles=1))
    made = run(tmp_path, make_config(cycles=2))
    after = ["embed-labels-3", "combine-2", "finish-2", "embed-labels-4", "evaluate-2"]
    assert made == ["evaluate-1", "shortlist-2", "train-clf-2", *after]  # cycle 1 is no longer what finish made of it


def test_a_version_raised_by_hand_makes_the_stage_again(tmp_path: Path) -> None:
    config = make_config(cycles=1)
    run(tmp_path, config)
    newer = {"embed-labels": stage(embed_labels, "seed", "proxy", version=2)}
    assert reasons(make_session(tmp_path, config, newer))["embed-labels-1"] == "embed-labels is at VERSION 2, was 1"
    assert run(tmp_path, config, newer) == ["embed-labels-1", "embed-labels-2", "embed-labels-3"]


def damage_output(session: Session, call: Call) -> None:
    (session.workspace.artifact(call.output) / "indices.npy").write_text("x")


def flip_a_bit(session: Session, call: Call) -> None:
    path = session.workspace.artifact(call.output) / "scores.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def damage_manifest(session: Session, call: Call) -> None:
    (session.workspace.artifact(call.output) / "manifest.json").write_bytes(b'{"format": 1, "kind": "shortlist"}')


def fold_manifest(session: Session, call: Call) -> None:
    (session.workspace.artifact(call.output) / "manifest.json").write_bytes(b"[" * 100_000)


def manifest_of_a_folder(session: Session, call: Call) -> None:
    path = session.workspace.artifact(call.output) / "manifest.json"
    path.unlink()
    path.mkdir()


def damage_record(session: Session, call: Call) -> None:
    session.workspace.record(call.name).write_bytes(b'{"a":' * 100_000)


def file_for_a_folder(session: Session, call: Call) -> None:
    folder = session.workspace.artifact(call.output)
    shutil.rmtree(folder)
    folder.write_text("a file")


def remove_output(session: Session, call: Call) -> None:
    shutil.rmtree(session.workspace.artifact(call.output))


def remove_record(session: Session, call: Call) -> None:
    session.workspace.record(call.name).unlink()


def replace_output(session: Session, call: Call) -> None:
    manifest = session.workspace.artifact(call.output) / "manifest.json"
    manifest.write_text(manifest.read_text() + " ")


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (damage_output, "the output is damaged: indices.npy"),
        (flip_a_bit, "the output is damaged: scores.npy"),
        (damage_manifest, "the output is not the one on record"),
        (fold_manifest, "the output is not the one on record"),
        (manifest_of_a_folder, "no output yet"),
        (damage_record, "nothing says what made the output"),
        (file_for_a_folder, "no output yet"),
        (remove_output, "no output yet"),
        (remove_record, "nothing says what made the output"),
        (replace_output, "the output is not the one on record"),
    ],
)
def test_harm_is_noticed_and_mended(tmp_path: Path, harm: Callable[[Session, Call], None], reason: str) -> None:
    config = make_config(cycles=1)
    run(tmp_path, config)
    before = identities(tmp_path, config)
    session = make_session(tmp_path, config)
    call = find_call(plan(config, RUN), "shortlist", 1)
    harm(session, call)
    assert why_not_current(session, call) == reason
    assert run(tmp_path, config) == ["shortlist-1"]
    assert identities(tmp_path, config) == before


def test_changed_raw_files_make_prepare_again(tmp_path: Path) -> None:
    config = make_config(cycles=1)
    run(tmp_path, config)
    changed = {"prepare": replace(FAKES["prepare"], sources=lambda: lambda job: {"raw": "2"})}
    assert reasons(make_session(tmp_path, config, changed))["prepare"] == "raw file raw changed"
    assert run(tmp_path, config, changed) == ["prepare"]


def test_raw_files_that_are_not_here_are_taken_as_unchanged(tmp_path: Path) -> None:
    config = make_config(cycles=1)

    def absent(job: Job) -> dict[str, str]:
        raise DatasetError("gone")

    gone = {"prepare": replace(FAKES["prepare"], sources=lambda: absent)}
    with pytest.raises(DatasetError):
        run(tmp_path, config, gone)
    run(tmp_path, config)
    assert run(tmp_path, config, gone) == []


def test_an_input_that_is_missing_names_the_command_that_makes_it(tmp_path: Path) -> None:
    session = make_session(tmp_path)
    calls = plan(session.config, RUN)
    with pytest.raises(ArtifactError, match="xmlcli prepare --dataset demo"):
        runner.run(session, [find_call(calls, "init-clf", None)], calls)


def test_an_input_with_a_flipped_bit_names_the_command_that_makes_it(tmp_path: Path) -> None:
    run(tmp_path, make_config(cycles=1))
    session = make_session(tmp_path, make_config(cycles=1, shortlist__size=9))
    calls = plan(session.config, RUN)
    path = tmp_path / "artifacts" / "demo" / "cycle1" / "labels" / "Z.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match="xmlcli embed-labels --dataset demo --cycle 1") as error:
        runner.run(session, [find_call(calls, "shortlist", 1)], calls)
    assert str(path) in str(error.value)
    assert run(tmp_path, session.config) == ["embed-labels-1", "shortlist-1"]


def test_a_record_keeps_identity_apart_from_what_it_cost(tmp_path: Path) -> None:
    config = make_config(cycles=1)
    run(tmp_path, config)
    record = json.loads((tmp_path / "runs" / "demo" / "train-clf-1.json").read_text())
    assert set(record["identity"]) == {"stage", "VERSION", "parameters", "inputs"}
    assert set(record["identity"]["inputs"]) == {"prepared", "clf", "labels", "shortlist"}
    assert record["identity"]["parameters"]["clf"]["epochs"] == config.clf.epochs
    assert record["provenance"]["seconds"] >= 0
    assert record["provenance"]["peak_memory_bytes"] > 1 << 20
    text = json.dumps(record["identity"])
    assert str(tmp_path) not in text
    assert record["provenance"]["host"] not in text


def test_two_roots_hold_the_same_bytes(tmp_path: Path) -> None:
    config = make_config(cycles=2)
    for name in "ab":
        run(tmp_path / name, config)
    for path in (tmp_path / "a" / "artifacts").rglob("*.*"):
        if path.is_file():
            other = tmp_path / "b" / path.relative_to(tmp_path / "a")
            assert path.read_bytes() == other.read_bytes()


def test_metrics_are_published_and_come_back_when_removed(tmp_path: Path) -> None:
    config = make_config(cycles=1)
    run(tmp_path, config)
    path = tmp_path / "metrics" / "demo" / "cycle1.json"
    content = path.read_text()
    assert json.loads(content)["P@1"] == 33.25
    path.unlink()
    assert run(tmp_path, config) == []
    assert path.read_text() == content


def test_metrics_and_settings_of_an_earlier_training_are_replaced_and_others_left_alone(tmp_path: Path) -> None:
    config = make_config(cycles=1)
    run(tmp_path, config)
    paths = [tmp_path / name for name in ("metrics/demo/cycle1.json", "runs/demo/settings.yaml", "runs/demo/run.json")]
    contents, times = [path.read_bytes() for path in paths], [path.stat().st_mtime_ns for path in paths]
    assert run(tmp_path, config) == []
    assert [path.stat().st_mtime_ns for path in paths] == times
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content.replace(b"1", b"2"))  # of the same size
        assert run(tmp_path, config) == []
        assert path.read_bytes() == content


HOLDING = """
import sys
from pathlib import Path
from xmlcli.storage.workspace import Workspace, lock
with lock(Workspace(Path(sys.argv[1]), "demo")):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_nothing_runs_while_another_holds_the_lock(tmp_path: Path) -> None:
    command, config = [sys.executable, "-c", HOLDING, str(tmp_path)], make_config(cycles=1)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(LockedError, match=f"process {other.pid}"):
            run(tmp_path, config)
        assert [path.name for path in tmp_path.iterdir()] == ["scratch"]
        other.communicate("")
    assert run(tmp_path, config) == [call.name for call in plan(config, RUN)]


def test_scratch_survives_a_stop_and_goes_with_the_end_or_another_identity(tmp_path: Path) -> None:
    seen: list[list[str]] = []

    def stopped(job: Job) -> None:
        seen.append(sorted(path.name for path in job.scratch.iterdir()))
        (job.scratch / "checkpoint").write_text("half")
        raise KeyboardInterrupt

    def finishing(job: Job) -> None:
        seen.append(sorted(path.name for path in job.scratch.iterdir()))
        train_clf(job)

    config = make_config(cycles=1)
    for function, settings in (
        (stopped, config),
        (stopped, config),
        (stopped, make_config(cycles=1, clf__epochs=9)),
        (finishing, make_config(cycles=1, clf__epochs=9)),
    ):
        try:
            run(tmp_path, settings, {"train-clf": stage(function, "seed", "clf")})
        except KeyboardInterrupt:
            continue
    fresh, kept = ["identity.json"], ["checkpoint", "identity.json"]
    assert seen == [fresh, kept, fresh, kept]
    assert not (tmp_path / "scratch" / "demo" / "train-clf-1").exists()


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from dataclasses import replace
from support import fake_stages
from xmlcli.runs import runner
from xmlcli.stages.call import RunId
from xmlcli.runs.plan import plan

count = 0
def dying(run):
    def inner(job):
        global count
        count += 1
        if count == int(sys.argv[2]):
            with job.write() as out:
                os.kill(os.getpid(), signal.SIGKILL)
        run(job)
    return inner

stages = {n: replace(s, load=lambda run=s.load(): dying(run)) for n, s in fake_stages.FAKES.items()}
session = fake_stages.make_session(Path(sys.argv[1]), fake_stages.make_config(cycles=1), stages)
calls = plan(session.config, RunId("demo"))
runner.run(session, calls, calls)
"""


@pytest.mark.parametrize("at", [1, 4, 6])
def test_after_kill_the_same_command_goes_on_to_the_same_bytes(tmp_path: Path, at: int) -> None:
    config = make_config(cycles=1)
    run(tmp_path / "whole", config)
    root = tmp_path / "killed"
    here = str(PROJECT / "tests")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(root), str(at), here], check=False)
    assert killed.returncode == -9
    assert run(root, config) == [call.name for call in plan(config, RUN)][at - 1 :]
    assert identities(root, config) == identities(tmp_path / "whole", config)
    assert not list(root.rglob(".*"))


def test_every_provenance_names_the_overrides(tmp_path: Path) -> None:
    session = replace(make_session(tmp_path, make_config(cycles=1, seed=5)), overrides={"seed": 5})
    calls = plan(session.config, RUN)
    runner.run(session, calls, calls)
    record = json.loads(session.workspace.record("prepare").read_text())
    assert record["provenance"]["overrides"] == {"seed": 5}
    last = json.loads(session.workspace.record("run").read_text())
    assert (last["dataset"], last["profile"], last["overrides"]) == ("demo", None, {"seed": 5})
