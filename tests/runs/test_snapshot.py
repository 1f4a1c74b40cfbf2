"""One complete training answers, whatever happens beside it: snapshots over fake stages."""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.fake_stages import FAKES, make_config, make_session

from xmlcli.config.sections import Config
from xmlcli.errors import ArtifactError, ConfigError, UsageError
from xmlcli.runs import publishing, runner
from xmlcli.runs.identity import Status
from xmlcli.runs.plan import find_call, plan
from xmlcli.runs.runner import Session
from xmlcli.runs.snapshot import (
    Training,
    check_settings,
    is_published,
    last_trained,
    measured,
    published,
    through,
)
from xmlcli.stages.call import Call, RunId
from xmlcli.stages.job import Job
from xmlcli.storage import files
from xmlcli.storage.workspace import Workspace

RUN = RunId("demo")
OLD = make_config(cycles=2)
NEW = make_config(cycles=2, seed=2, prepare__min_df=3, model__dim=8, clf__epochs=9, proxy__epochs=7, evaluate__top_k=9)
MIXTURE = 16


def train(root: Path, config: Config, **changes: Any) -> Status | None:
    session = replace(make_session(root, config), **changes)
    calls = plan(config, RUN)
    return runner.run(session, calls, calls)


def answer(training: Training) -> tuple[object, ...]:
    """What a training says of itself, from every kind of artifact; a mixture says something that none does."""
    call = find_call(training.plan, "evaluate", training.config.cycles)
    clf, labels = training.read(call.inputs["clf"]), training.read(call.inputs["labels"])
    training.read(call.output)
    return (
        training.config,
        training.read(call.inputs["prepared"]).json("prepared.json")["min_df"],
        float(clf.numpy_tensors("model.safetensors")["w"][0]),
        clf.json("state.json")["epochs"],
        float(labels.array("Z.npy")[0, 0]),
        files.read_json(training.workspace.record(call.name))["identity"]["parameters"]["evaluate"]["top_k"],
    )


def answered(root: Path) -> tuple[object, ...]:
    return through(Workspace(root, "demo"), answer)


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[object, ...]]:
    """The answers of the old and the new training, each made alone."""
    found = {}
    for name, config in (("old", OLD), ("new", NEW)):
        train(tmp_path_factory.mktemp(name), config)
        found[name] = answered(tmp_path_factory.getbasetemp() / f"{name}0")
    assert all(old != new for old, new in zip(found["old"], found["new"], strict=True))
    return found


def everything(root: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below a folder: inode and content."""
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): (path.stat().st_ino, path.read_bytes()) for path in paths}


def only_one_folder(root: Path) -> bool:
    folder = root / "snapshots" / "demo"
    named = str(json.loads((folder / "snapshot.json").read_text())["slot"])
    return sorted(path.name for path in folder.iterdir()) == [named, "snapshot.json"]


def test_whichever_command_makes_the_last_call_publishes_the_training(tmp_path: Path) -> None:
    session, calls = make_session(tmp_path, OLD), plan(OLD, RUN)
    for call in calls:
        assert not is_published(session.workspace)
        with pytest.raises(ArtifactError, match=r"no complete training of demo(.|\n)*xmlcli train --dataset demo"):
            answered(tmp_path)
        unfinished = runner.run(session, [call], calls)
    assert unfinished is None
    assert answered(tmp_path)[0] == OLD


def test_a_training_by_an_older_program_is_published_by_the_next_train_which_makes_nothing(tmp_path: Path) -> None:
    train(tmp_path, OLD)
    before = answered(tmp_path)
    shutil.rmtree(tmp_path / "snapshots")
    with pytest.raises(ArtifactError, match="older xmlcli"):
        answered(tmp_path)
    made: list[Call] = []
    train(tmp_path, OLD, on_start=lambda call, reason: made.append(call))
    assert (made, answered(tmp_path)) == ([], before)


def test_a_snapshot_costs_no_disk_and_publishing_again_reads_and_writes_nothing_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tmp_path, OLD)
    held = everything(tmp_path / "snapshots")
    inodes = {inode for inode, _ in everything(tmp_path / "artifacts").values()}
    assert all(inode in inodes for name, (inode, _) in held.items() if "/artifacts/" in name)
    last = published(Workspace(tmp_path, "demo"))

    def forbidden(*args: object) -> None:
        raise AssertionError

    monkeypatch.setattr(os, "link", forbidden)
    monkeypatch.setattr(shutil, "copy2", forbidden)
    monkeypatch.setattr(files, "sha256_file", forbidden)
    train(tmp_path, OLD)
    again = everything(tmp_path / "snapshots")
    assert {k: v for k, v in again.items() if k[-13:] != "snapshot.json"} == {
        k: v for k, v in held.items() if k[-13:] != "snapshot.json"
    }
    assert published(Workspace(tmp_path, "demo")).finished > last.finished


def test_where_links_are_impossible_there_are_copies_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: dict[str, tuple[object, ...]]
) -> None:
    def impossible(*args: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", impossible)
    train(tmp_path, OLD)
    held = everything(tmp_path / "snapshots")
    train(tmp_path, OLD)
    assert {k: v for k, v in everything(tmp_path / "snapshots").items() if "/artifacts/" in k} == {
        k: v for k, v in held.items() if "/artifacts/" in k
    }
    shutil.rmtree(tmp_path / "artifacts")
    assert answered(tmp_path) == answers["old"]
    train(tmp_path, NEW)
    assert answered(tmp_path) == answers["new"]


@pytest.mark.parametrize("at", range(MIXTURE))
def test_until_the_new_training_is_complete_the_old_one_answers(
    tmp_path: Path, at: int, answers: dict[str, tuple[object, ...]]
) -> None:
    """Stop before the nth call, with its output removed, as dvc repro removes it."""
    train(tmp_path, OLD)
    made: list[str] = []

    def stopping(call: Call, reason: str) -> None:
        shutil.rmtree(tmp_path / Workspace(tmp_path, "demo").relative(call.output), ignore_errors=True)
        made.append(call.name)
        if len(made) > at:
            raise KeyboardInterrupt

    if at == MIXTURE - 1:
        assert len(plan(NEW, RUN)) == MIXTURE - 1
        train(tmp_path, NEW, on_start=stopping)
        assert answered(tmp_path) == answers["new"]
        assert only_one_folder(tmp_path)
        return
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, NEW, on_start=stopping)
    assert answered(tmp_path) == answers["old"]
    train(tmp_path, NEW)
    assert answered(tmp_path) == answers["new"]


def test_without_keeping_nothing_answers_between_the_two_and_the_process_is_named(tmp_path: Path) -> None:
    train(tmp_path, OLD)
    train(tmp_path, OLD, keep=False)
    assert answered(tmp_path)[0] == OLD, "nothing was made"
    said: list[str] = []

    def telling(call: Call, reason: str) -> None:
        if call.name != "prepare":
            with pytest.raises(ArtifactError) as refused:
                answered(tmp_path)
            said.append(str(refused.value))
            assert sorted((tmp_path / "snapshots" / "demo").iterdir()) == []

    train(tmp_path, NEW, keep=False, on_start=telling)
    assert len(said) == MIXTURE - 2
    assert all(f"a training under way (process {os.getpid()}: " in text for text in said)
    assert answered(tmp_path)[0] == NEW


SYSTEM_CALLS = ("mkdir", "fsync", "rename", "replace", "unlink", "rmdir")


class Killed(BaseException):
    """The process is no more."""


def killed_at(count: int, work: Callable[[], object]) -> bool:
    """Do the work until it has changed the disk `count` times, and then no more; whether it was cut short.

    To the disk that is kill -9.
    """
    calls = 0

    def dying(call: Callable[..., Any]) -> Callable[..., Any]:
        def inner(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > count:
                raise Killed
            return call(*args, **kwargs)

        return inner

    with pytest.MonkeyPatch.context() as patch:
        for name in SYSTEM_CALLS:
            patch.setattr(os, name, dying(getattr(os, name)))
        try:
            work()
        except Killed:
            return True
    return False


def test_kill_9_between_any_two_system_calls_of_publishing_leaves_the_old_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = (replace(config, cycles=1) for config in (OLD, NEW))
    train(tmp_path / "new", new)
    answers = {"new": answered(tmp_path / "new")}
    train(tmp_path, old)
    answers["old"] = answered(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(publishing, "publish", lambda *args, **options: None)
        train(tmp_path, new)
    shutil.copytree(tmp_path / "snapshots", tmp_path / "before")
    calls, seen = plan(new, RUN), []

    def publish() -> None:
        session = make_session(tmp_path, new)
        publishing.tidy(session.workspace)
        assert publishing.publish(session, calls, trained=True) is None

    for count in range(1000):  # each a disk of its own
        shutil.rmtree(tmp_path / "snapshots")
        shutil.copytree(tmp_path / "before", tmp_path / "snapshots", copy_function=os.link)
        was_killed = killed_at(count, publish)
        found = answered(tmp_path)
        assert found in answers.values()
        seen.append(found == answers["new"])
        publish()
        assert answered(tmp_path) == answers["new"]
        assert only_one_folder(tmp_path)
        if not was_killed:
            break
    assert seen == sorted(seen), "once new, always new"
    assert 40 < len(seen) < 1000
    assert {True, False} == set(seen)


def test_a_reader_beside_trainings_gets_one_of_them_whole(
    tmp_path: Path, answers: dict[str, tuple[object, ...]]
) -> None:
    train(tmp_path, OLD)
    stop, seen, failed = threading.Event(), [], []

    def read() -> None:
        while not stop.is_set():
            try:
                seen.append(answered(tmp_path))
            except BaseException as error:
                failed.append(error)
                raise

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(2):
            train(tmp_path, NEW)
            train(tmp_path, OLD)
    finally:
        stop.set()
        reader.join()
    assert not failed
    assert set(map(repr, seen)) <= set(map(repr, answers.values()))
    assert len(seen) > 5


@pytest.mark.parametrize("how_often", [1, 2])
def test_a_reader_whose_folder_goes_while_it_reads_reads_again(
    tmp_path: Path, how_often: int, answers: dict[str, tuple[object, ...]]
) -> None:
    train(tmp_path, OLD)
    read = []

    def reading(training: Training) -> tuple[object, ...]:
        read.append(training.config)
        if len(read) <= how_often:
            first = training.read(find_call(training.plan, "evaluate", 2).inputs["prepared"])
            train(tmp_path, NEW if training.config == OLD else OLD)
            if how_often == 2:
                return (training.config, first)  # reads no more: a half from before would do
        return answer(training)

    expected = "new" if how_often == 1 else "old"
    assert through(Workspace(tmp_path, "demo"), reading) == answers[expected]
    assert len(read) == how_often + 1


def test_artifacts_made_again_with_the_same_bytes_are_those_of_the_snapshot(tmp_path: Path) -> None:
    train(tmp_path, OLD)
    damaged = tmp_path / "artifacts" / "demo" / "cycle4" / "labels" / "Z.npy"
    with damaged.open("r+b") as file:  # in place, so that the snapshot's file is damaged too
        file.truncate(10)
    with pytest.raises(ArtifactError, match="damaged"):
        answered(tmp_path)
    train(tmp_path, OLD)
    assert answered(tmp_path)[0] == OLD
    linked = published(Workspace(tmp_path, "demo")).workspace.root / damaged.relative_to(tmp_path)
    assert os.path.samefile(damaged, linked)


def test_a_folder_of_another_cycle_in_the_artifacts_changes_no_answer_and_in_the_snapshot_is_refused(
    tmp_path: Path, answers: dict[str, tuple[object, ...]]
) -> None:
    train(tmp_path, OLD)
    slot = published(Workspace(tmp_path, "demo")).workspace.root
    for root in (tmp_path, slot):
        clf = root / "artifacts" / "demo" / "cycle3" / "clf"
        shutil.rmtree(clf)
        shutil.copytree(root / "artifacts" / "demo" / "cycle1" / "clf", clf)
        if root == tmp_path:
            assert answered(tmp_path) == answers["old"]
    with pytest.raises(ArtifactError, match=r"clf of cycle 3 is not that of(.|\n)*xmlcli train --dataset demo"):
        answered(tmp_path)
    train(tmp_path, OLD)
    assert answered(tmp_path) == answers["old"]


def edited(**changes: Any) -> Callable[[Path], object]:
    return lambda path: path.write_text(json.dumps(files.sealed(json.loads(path.read_text()) | changes)))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "no text": lambda path: path.write_bytes(b"\xff\xfe"),
    "no object": lambda path: path.write_text("[]"),
    "nested": lambda path: path.write_text("[" * 100_000),
    "cut": lambda path: path.write_text(path.read_text()[:-20]),
    "a digit of a setting": lambda path: path.write_text(path.read_text().replace('"top_k": 100', '"top_k": 101')),
    "later": edited(format=3),
    "elsewhere": edited(slot="../../../artifacts"),
    "no folder": edited(slot=77),
    "huge": edited(slot=10**400),
    "settings": edited(settings={"cycles": 1}),
    "no settings": edited(settings=None),
    "other artifacts": edited(artifacts={}),
    "no artifacts": edited(artifacts=[]),
    "more artifacts": lambda path: path.write_text(path.read_text().replace('"artifacts": {', '"artifacts": {"x": 0,')),
    "no run": edited(dataset=3),
    "no overrides": edited(overrides=[]),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_snapshot_is_refused_by_name_mended_by_train_and_breaks_no_other_run(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    train(tmp_path, OLD)
    shutil.copytree(tmp_path / "snapshots" / "demo", tmp_path / "snapshots" / "other")
    path = tmp_path / "snapshots" / "demo" / "snapshot.json"
    damage(path)
    with pytest.raises(ArtifactError, match=r"snapshot of demo is damaged(.|\n)*xmlcli train --dataset demo"):
        answered(tmp_path)
    told: list[str] = []
    assert last_trained(tmp_path, told.append) == Workspace(tmp_path, "other")
    assert [str(path) in line and "\n" not in line for line in told] == [True]
    train(tmp_path, OLD)
    assert answered(tmp_path)[0] == OLD
    assert only_one_folder(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"dataset": 1}', "\xff", "[" * 100_000])
def test_a_damaged_run_json_breaks_nothing(tmp_path: Path, text: str) -> None:
    train(tmp_path, OLD)
    (tmp_path / "runs" / "other").mkdir()
    for name in ("demo", "other"):
        (tmp_path / "runs" / name / "run.json").write_bytes(text.encode("latin-1"))
    assert last_trained(tmp_path, pytest.fail) == Workspace(tmp_path, "demo")
    assert answered(tmp_path)[0] == OLD
    shutil.rmtree(tmp_path / "snapshots")
    with pytest.raises(UsageError, match="nothing has been trained"):
        last_trained(tmp_path, pytest.fail)
    with pytest.raises(ArtifactError, match="xmlcli train --dataset demo"):
        answered(tmp_path)


def test_the_last_trained_run_is_the_one_completed_last_and_none_that_was_stopped(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing has been trained"):
        last_trained(tmp_path, pytest.fail)

    def run(name: str, **changes: Any) -> None:
        session = replace(make_session(tmp_path, OLD), workspace=Workspace(tmp_path, name), **changes)
        calls = plan(OLD, RunId(name))
        runner.run(session, calls, calls)

    def stopping(call: Call, reason: str) -> None:
        if call.stage == "evaluate":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run("stopped", on_start=stopping, overrides={"seed": 1, "prepare.text_column": "a b"})
    with pytest.raises(ArtifactError) as refused:
        last_trained(tmp_path, pytest.fail)
    assert """xmlcli train --dataset stopped --set 'prepare.text_column="a b"' --set seed=1""" in str(refused.value)
    for name in ("a", "b", "a"):  # the second time nothing is made
        run(name)
        assert last_trained(tmp_path, pytest.fail) == Workspace(tmp_path, name)


def test_an_evaluation_measured_again_leaves_the_order_of_trainings(tmp_path: Path) -> None:
    train(tmp_path, OLD)
    before = published(Workspace(tmp_path, "demo"))
    config = make_config(cycles=2, evaluate__top_k=9)
    session, calls = make_session(tmp_path, config), plan(config, RUN)
    runner.run(session, [find_call(calls, stage, 1) for stage in ("combine", "evaluate")], calls)
    assert published(session.workspace).config == OLD, "one evaluation of two is under other settings"
    runner.run(session, [find_call(calls, stage, 2) for stage in ("combine", "evaluate")], calls)
    after = published(session.workspace)
    assert (after.config, after.finished) == (config, before.finished)


def test_what_was_measured_outside_of_a_training_is_told_from_what_came_after(tmp_path: Path) -> None:
    session, calls = make_session(tmp_path, OLD), plan(OLD, RUN)
    first = find_call(calls, "evaluate", 1)
    with pytest.raises(ArtifactError):
        measured(session.workspace, OLD, first)
    runner.run(session, calls[: calls.index(first) + 1], calls)
    found = measured(session.workspace, OLD, first)
    assert found.read(first.output).json("metrics.json")["P@1"] == 33.25
    found.check_unchanged()
    newer = make_session(tmp_path, NEW)
    runner.run(newer, [find_call(plan(NEW, RUN), "prepare", None)], plan(NEW, RUN))
    with pytest.raises(ArtifactError, match="prepared is not that of"):
        found.check_unchanged()


def test_other_settings_than_the_training_s_are_refused_with_the_command_that_trains_so(tmp_path: Path) -> None:
    train(tmp_path, OLD, overrides={"cycles": 2})
    training = published(Workspace(tmp_path, "demo"))
    check_settings(training, {"cycles": 2, "clf.epochs": OLD.clf.epochs, "evaluate.ks": list(OLD.evaluate.ks)})
    with pytest.raises(
        UsageError, match=r"clf.epochs = 9(.|\n)*train --dataset demo --set cycles=2 --set clf.epochs=9"
    ):
        check_settings(training, {"clf.epochs": 9})
    for wrong in ({"clf.epoch": 9}, {"clf": 3}, {"cycles": "many"}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            check_settings(training, wrong)


def test_raw_files_that_change_while_training_leave_it_incomplete(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.write_text("1")
    prepare = replace(FAKES["prepare"], sources=lambda: lambda job: {"raw": raw.read_text()})

    def changing(job: Job) -> None:
        FAKES["init-clf"].load()(job)
        raw.write_text("2")

    stages = {"prepare": prepare, "init-clf": replace(FAKES["init-clf"], load=lambda: changing)}
    session, calls = make_session(tmp_path, OLD, stages), plan(OLD, RUN)
    unfinished = runner.run(session, calls, calls)
    assert unfinished is not None
    assert (unfinished.call.name, unfinished.reason) == ("prepare", "raw file raw changed")
    assert not is_published(session.workspace)


def test_sessions_keep_by_default() -> None:
    assert Session(Workspace(Path(), "demo"), OLD).keep
