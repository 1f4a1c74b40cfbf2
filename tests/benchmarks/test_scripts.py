"""The scripts in benchmarks/ run and fill their tables; what the figures are is nobody's business here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import PROJECT

pytestmark = pytest.mark.timeout(400)


def run(script: str, *words: str) -> list[list[list[str]]]:
    """Run a script and return the cells of its tables, without the lines below the heads."""
    command = [sys.executable, str(PROJECT / "benchmarks" / script), *words]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, *parts = done.stdout.strip().split("\n\n")
    assert "cores" in first
    tables = [[[cell.strip() for cell in line.split("|")[1:-1]] for line in part.splitlines()] for part in parts]
    assert all(len(row) == len(table[0]) for table in tables for row in table)
    return [[table[0], *table[2:]] for table in tables]


def numbers(cells: list[str]) -> list[float]:
    return [float(cell.replace(",", "")) for cell in cells if cell]


def test_speed_sets_ours_beside_a_peer(tmp_path: Path) -> None:
    line = {"name": "other", "train_s": 1.0, "predict_s": 0.3, "n_tst": 3000, "model_bytes": 2**20, "wall_s": 2.0}
    (tmp_path / "line").write_text(f"reading\nJSON {json.dumps(line)}\n")
    peer = f"Peer=echo {{data}} {{documents}} > {tmp_path}/asked; cat {tmp_path}/line"
    results = tmp_path / "results.jsonl"
    profiles = ("--profile", "default", "--profile", "fast")
    beside, alone = run("speed.py", "--quick", *profiles, "--peer", peer, "--results", str(results))
    names = ("xmlcli", "xmlcli, fast", "Peer")
    assert [row[:3] for row in beside[1:]] == [["demo, first 1,000", name, "1"] for name in names]
    assert all(len(numbers(row[3:])) == len(beside[0]) - 5 for row in beside[1:3])  # no quotients with itself
    quotients = [numbers(cell.split(",")) for cell in (beside[3].pop(5), beside[3].pop(6))]
    theirs = numbers(beside[3][3:])
    assert [len(pair) for pair in quotients] == [2, 2]
    assert len(theirs) == len(beside[0]) - 5
    assert theirs[:2] == [2.0, 2.0]
    assert theirs[2] == 0.1
    lines = [json.loads(text) for text in results.read_text().splitlines()]
    for line, quotient in zip(lines, quotients[0], strict=False):
        assert abs(quotient / (line["without_test_s"] / 2.0) - 1) < 0.01
    assert [row[0] for row in alone[1:]] == ["demo, first 1,000", "demo, first 1,000, fast"]
    assert lines[0]["without_test_s"] < lines[0]["wall_s"]
    assert lines[0]["peak_bytes"] > 100 * 2**20
    assert (tmp_path / "asked").read_text().split()[-1] == "1000"
    assert len(numbers(alone[1][1:])) == len(alone[0]) - 1
    assert min(numbers(alone[1][1:])) > 0
    assert lines[0]["p50_ms"] <= lines[0]["p99_ms"]


def test_ablation_has_a_row_for_what_is_removed_and_one_for_each_score_left_out(tmp_path: Path) -> None:
    rows = ["--only", "nothing", "--only", "the linear part"]
    words = ["--dataset", "demo:1000", *rows, "--results", str(tmp_path / "results.jsonl")]
    trained, left_out = run("ablation.py", *words)
    assert [row[0] for row in trained] == ["trained without", "nothing", "the linear part"]
    assert trained[0][1] == left_out[0][1] == "demo, first 1,000"
    assert len(left_out) == 8
    figures = dict(trained[1:]) | {f"left out: {what}": cells for what, cells in left_out[1:]}
    assert all(len(cells.partition(" (")[0].replace("·", "/").split("/")) == 6 for cells in figures.values())
    assert len(set(figures.values())) == len(figures)
    assert figures["the linear part"].partition(" (")[0] == figures["left out: linear part"]
    assert run("ablation.py", *words) == [trained, left_out]  # nothing is run again


def test_growth_has_a_row_for_each_size_and_one_for_each_stage() -> None:
    sizes, stages = run("growth.py", "--quick")
    assert [row[:2] for row in sizes[1:]] == [["200", "200"], ["400", "400"]]
    assert all(len(numbers(row)) == len(sizes[0]) for row in sizes[1:])
    assert sizes[1][3] == "1"
    assert [row[0] for row in stages[1:3]] == ["prepare", "init-clf"]
    assert all(len(row[1].split(", ")) == 2 for row in stages[1:])


def test_instant_has_a_row_for_each_thing_that_should_take_no_time() -> None:
    (found,) = run("instant.py", "--quick")
    assert [row[0].split(",")[0].split()[0] for row in found[1:]] == ["xmlcli", "xmlcli", "ranking", "15"]
    assert all(len(numbers(row[1:])) == 2 for row in found[1:])


def test_devices_has_a_row_for_each_device() -> None:
    (table,) = run("devices.py", "--quick", "--device", "cpu")
    assert [row[:3] for row in table[1:]] == [["demo, first 1,000", "cpu", "1"]]
    wall, *stages = numbers(table[1][3:10])
    assert 0 < sum(stages) < wall
    assert all(0 < figure < 100 for figure in numbers(table[1][10:14]))
    assert numbers(table[1][14:])[1] == 0
