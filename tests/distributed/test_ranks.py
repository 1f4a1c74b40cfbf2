"""Several ranks: what they exchange, and that they end together."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from support.planted_data import sparse_rows
from support.tiny_dataset import LABELS, contents, opened, run, write_dataset
from support.torchrun import PROJECT, finished, process_of_rank, torchrun, trained

from xmlcli.distributed.launch import joined
from xmlcli.distributed.ranks import ALONE, Ranks
from xmlcli.errors import UsageError
from xmlcli.storage.artifacts import read


def test_one_rank_owns_everything_and_gets_back_what_it_gives() -> None:
    table = np.arange(6).reshape(3, 2)
    matrix = sparse_rows(3, 5, 2, np.random.default_rng(0))
    assert ALONE.share(3) == slice(0, 3)
    assert ALONE.all_gather_rows(table) is table
    assert ALONE.all_gather_csr(matrix) is matrix
    assert ALONE.all_reduce_sum(table) is table
    assert ALONE.all_reduce_max(table) is table
    assert ALONE.all_gather(table)[0][0] is table
    assert ALONE.all_to_all([[table]])[0][0] is table
    assert next(iter(ALONE.gather_blocks(table))) is table
    assert ALONE.broadcast(lambda: 3) == 3
    assert ALONE.fetch_same_rows(table, np.array([2, 0]), 3).tolist() == [[4, 5], [0, 1]]
    assert ALONE.sent == 0


def test_shares_cover_all_rows_once() -> None:
    for total in (0, 1, 2, 7, 100):
        for size in (1, 2, 3, 8):
            rows = [r for rank in range(size) for r in range(total)[Ranks(rank, size).share(total)]]
            assert rows == list(range(total))
            owners = Ranks(0, size).owners(np.arange(total), total)
            shares = [Ranks(rank, size).share(total) for rank in owners]
            assert all(share.start <= row < share.stop for row, share in enumerate(shares))


def test_three_ranks_exchange_what_they_hold_and_write_one_file(tmp_path: Path) -> None:
    code, told = finished(torchrun(str(PROJECT / "tests" / "support" / "rank_checks.py"), str(tmp_path), ranks=3))
    assert code == 0, told


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture(scope="module")
def by_two(tmp_path_factory: pytest.TempPathFactory, dataset: Path) -> Path:
    """The root of a run that two ranks finished."""
    root = tmp_path_factory.mktemp("two")
    code, told = finished(trained(dataset, root))
    assert code == 0, told
    return root


def test_two_ranks_make_the_artifacts_of_one(by_two: Path, dataset: Path, tmp_path: Path) -> None:
    run(tmp_path, dataset, "default")
    one, two = contents(tmp_path), contents(by_two)
    assert one.keys() == two.keys()
    session, calls = opened(by_two, dataset, "default")
    alone, _ = opened(tmp_path, dataset, "default")
    for call in calls:
        by_one, by_both = (
            read(s.workspace.artifact(call.output), call.output.kind, made_by="") for s in (alone, session)
        )
        by_both.verify_content()
        for name, entry in by_one.entries.items():
            same = ("dtype", "shape", "tensors")
            assert [by_both.entries[name].get(key) for key in same] == [entry.get(key) for key in same]
    alike = {name for name in one if one[name] == two[name]}
    assert {f"tiny/prepared/{name}" for name in ("X_train.npz", "label_words.npz", "manifest.json")} <= alike
    assert "tiny/cycle2/clf/linear.npz" in alike
    for cycle in (1, 2):
        wanted, found = (json.loads(s.workspace.metrics(cycle).read_text()) for s in (alone, session))
        assert found["P@1"] == pytest.approx(wanted["P@1"], abs=6)
        assert found["PSP@5"] == pytest.approx(wanted["PSP@5"], abs=6)


def test_no_rank_holds_the_rows_of_all_labels(by_two: Path, dataset: Path) -> None:
    session, calls = opened(by_two, dataset, "default")
    for call in calls[1:]:
        notes = json.loads(session.workspace.record(call.name).read_text())["provenance"]["notes"]
        assert notes["ranks"] == 2
        assert notes["label_rows_held"] == (LABELS + 1) // 2
        assert notes["bytes_sent_by_a_rank"] > 0


def test_what_two_ranks_made_is_current_for_one(by_two: Path, dataset: Path) -> None:
    from xmlcli.runs.identity import status

    session, calls = opened(by_two, dataset, "default")
    assert all(found.current for found in status(session, calls))


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_rank_ends_the_others_and_the_same_command_goes_on(
    by_two: Path, dataset: Path, tmp_path: Path, rank: int
) -> None:
    process = trained(dataset, tmp_path, clf__checkpoint_seconds=0.0)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("scratch/tiny/train-clf-1/*-of-2-b.safetensors")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process_of_rank(rank, process.pid), signal.SIGKILL)
    code, told = finished(process, seconds=15)
    assert code != 0
    (line,) = (line for line in told.splitlines() if line.startswith("xmlcli:"))
    assert line == (
        f"xmlcli: rank {rank} has ended; what to do: type the same command again; it goes on from the last finished "
        "stage or checkpoint"
    )
    assert len(contents(tmp_path)) < len(contents(by_two))
    code, told = finished(trained(dataset, tmp_path, clf__checkpoint_seconds=0.0))
    assert code == 0, told
    assert "embed-labels-1   current" in told
    assert contents(tmp_path) == contents(by_two)


def test_an_error_of_all_ranks_is_told_once(tmp_path: Path) -> None:
    code, told = finished(torchrun("-m", "xmlcli", "train", "--dataset", str(tmp_path / "nothing")))
    assert code != 0
    assert len([line for line in told.splitlines() if line.startswith("xmlcli:")]) == 1


def test_half_of_the_variables_of_torchrun_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(UsageError, match="RANK"), joined("cpu", print_error=print):
        pass
