"""A model one can carry: small, the same answers, whole or absent, every damage told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from support import small_model
from support.small_model import PROJECT, texts_and_labels

from xmlcli import cli
from xmlcli.errors import ArtifactError
from xmlcli.kernels.products import QuantisedDense
from xmlcli.kernels.quantised import QuantisedRows
from xmlcli.runs.results import model_bytes
from xmlcli.serving import model_folder
from xmlcli.serving.model import Model, load

TEXTS, _ = texts_and_labels(50, 7)


def random_rows(num_rows: int, num_columns: int, density: float) -> sp.csr_matrix:
    rng = np.random.default_rng(num_columns)
    return sp.random(num_rows, num_columns, density, "csr", np.float32, rng, data_rvs=rng.standard_normal)


def test_a_dense_value_is_off_by_half_a_step_of_its_row_at_most() -> None:
    W = np.random.default_rng(0).standard_normal((30, 8)).astype(np.float32)
    W[3] = 0
    step = np.abs(W).max(axis=1, keepdims=True) / 127
    assert (np.abs(QuantisedDense.of(W).floats() - W) <= step * 0.5001).all()


@pytest.mark.parametrize(("num_columns", "density"), [(5, 0.9), (300, 0.1), (70_000, 0.001), (3_000_000, 1e-5)])
def test_sparse_rows_come_back_from_their_arrays(num_columns: int, density: float) -> None:
    rows = QuantisedRows.of(random_rows(20, num_columns, density), num_columns=num_columns)
    again = QuantisedRows.from_arrays(rows.to_arrays(), num_columns=num_columns)
    assert (again.floats() != rows.floats()).nnz == 0
    assert again.columns.dtype == rows.columns.dtype == (np.uint16 if num_columns <= 1 << 16 else np.uint32)


def test_columns_beyond_the_matrix_are_damage() -> None:
    arrays = QuantisedRows.of(random_rows(20, 300, 0.1), num_columns=300).to_arrays()
    with pytest.raises(ArtifactError, match="sparse matrix is damaged"):
        QuantisedRows.from_arrays(arrays, num_columns=100)
    with pytest.raises(ArtifactError, match="sparse matrix is damaged"):
        QuantisedRows.from_arrays({**arrays, "columns": arrays["columns"][:-1]}, num_columns=300)


def test_a_loaded_model_answers_as_the_saved_one_and_saves_the_same_bytes(tmp_path: Path) -> None:
    model, again = Model.of(small_model.contents()), load(small_model.folder())
    assert again.predict(TEXTS, k=10) == model.predict(TEXTS, k=10)
    again.save(tmp_path / "again")
    for path in small_model.folder().iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


def test_the_small_model_predicts_as_the_artifacts_do() -> None:
    full, small = small_model.trained().model(), load(small_model.folder())
    labels, probabilities = full.top_k(TEXTS, 3)
    found, approximate = small.top_k(TEXTS, 3)
    assert (found[:, 0] == labels[:, 0]).mean() > 0.9
    assert np.abs(approximate - probabilities).max() < 0.1
    size = sum(path.stat().st_size for path in small_model.folder().iterdir() if path.suffix == ".safetensors")
    assert size < 0.6 * model_bytes(small_model.trained().artifacts())


def test_documents_with_knn_votes_are_exported_where_they_pay(tmp_path: Path) -> None:
    full = small_model.trained("works").model()
    small = Model.of(small_model.trained("works").contents())
    small.save(tmp_path / "model")
    again = load(tmp_path / "model")
    texts, truth = small_model.works_in_volumes(60, 7)
    found = [{name for name, _ in labels} for labels in again.predict(texts, k=2)]
    assert np.mean([len(labels & set(true)) / 2 for labels, true in zip(found, truth, strict=True)]) > 0.9
    assert again.predict(texts, k=5) == small.predict(texts, k=5)
    labels, _ = full.top_k(texts, 2)
    assert (np.sort(again.top_k(texts, 2)[0]) == np.sort(labels)).mean() > 0.95
    prepared, *others = small_model.trained("works").artifacts()
    documents = sum(prepared.entries[f"{table}_train.npz"]["bytes"] for table in "XY")
    plain = sum(artifact.inference_bytes() for artifact in (prepared, *others))
    assert model_bytes([prepared, *others]) == plain + documents
    assert "labels of 600 training documents" in (tmp_path / "model" / "README.md").read_text()
    assert small.contents is not None
    assert small.contents.voters_labels is not None
    assert small.contents.voters_labels.num_columns == small.num_labels == 10
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert {"voters.safetensors", "voters_labels.safetensors"} <= names
    assert not any("voters" in path.name for path in small_model.folder().iterdir())
    assert "kNN votes" in (tmp_path / "model" / "README.md").read_text()
    assert "kNN votes" not in (small_model.folder() / "README.md").read_text()


def test_voters_may_have_more_labels_than_there_are_features(tmp_path: Path) -> None:
    contents = small_model.trained("works").contents()
    labels = QuantisedRows.of(random_rows(600, 3000, 0.01), num_columns=3000)
    of_labels = {name: getattr(contents, name) for name in ("weight", "bias", "Z", "bonus", "frequencies")}
    repeated: dict[str, Any] = {name: table[np.arange(3000) % 10] for name, table in of_labels.items()}
    words = QuantisedRows.of(random_rows(3000, len(contents.tokens), 0.1), num_columns=len(contents.tokens))
    unnamed = replace(contents.frontend, label_names=None)
    more = replace(
        contents, **repeated, words=words, voters_labels=labels, linear=None, label_text=None, frontend=unnamed,
        combination=replace(contents.combination, coefficients={"intercept": 0.0, "votes": 1.0}),
    )  # fmt: skip
    model_folder.write(tmp_path / "model", more)
    again = model_folder.read(tmp_path / "model").voters_labels
    assert again is not None
    assert again.num_columns == 3000
    assert (again.floats() != labels.floats()).nnz == 0


def test_the_card_tells_data_figures_and_settings() -> None:
    card = (small_model.folder() / "README.md").read_text()
    heads = [line for line in card.splitlines() if line.startswith("#")]
    names = (
        "What it is for", "How to call it", "Training data", "Figures, percent", "Calibration", "Limits", "Settings",
    )  # fmt: skip
    assert heads == ["# Labels of subjects", *(f"## {name}" for name in names)]
    assert f"Written on {datetime.now(UTC).date().isoformat()}" in card
    assert "| validation P |" in card
    for part in ("Labels of subjects", "10 labels", "| training_rows | 240 |", "| test P |", "| model.dim | 16 |"):
        assert part in card


def test_a_folder_that_is_no_model_is_never_replaced_and_an_older_model_is(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ArtifactError, match="something else than a model"):
        model_folder.write(tmp_path, small_model.contents())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    target = tmp_path / "model"
    model_folder.write(target, small_model.contents())
    contents = small_model.contents()
    unnamed = replace(contents.combination, coefficients={"intercept": 0.0, "search": 1.0})
    frontend = replace(contents.frontend, label_names=None)
    model_folder.write(target, replace(contents, combination=unnamed, frontend=frontend))
    assert load(target).label_names[:2] == ["0", "1"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "thesis.txt"]


def edit_manifest(folder: Path, **changes: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def flip(folder: Path) -> None:
    raw = bytearray((folder / "dense.safetensors").read_bytes())
    raw[-1] ^= 1
    (folder / "dense.safetensors").write_bytes(raw)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (flip, "another sha256"),
        (lambda folder: (folder / "settings.json").unlink(), "No such file"),
        (lambda folder: os.truncate(folder / "words.safetensors", 9), "9 bytes"),
        (lambda folder: edit_manifest(folder, format=1, written_by="xmlcli 9"), "format 1, by xmlcli 9"),
        (lambda folder: edit_manifest(folder, files={}), "dense.safetensors"),
        (lambda folder: edit_manifest(folder, files={"../x": {}}), "'../x' in the list of files"),
        (lambda folder: edit_manifest(folder, kind="cake"), "the folder holds no model"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "no JSON"),
        (lambda folder: (folder / "manifest.json").unlink(), "there is no model"),
    ],
)
def test_every_damage_is_told(tmp_path: Path, damage: Callable[[Path], object], said: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(small_model.folder(), folder)
    damage(folder)
    with pytest.raises(ArtifactError, match=said):
        load(folder)


def test_the_card_may_be_edited(tmp_path: Path) -> None:
    shutil.copytree(small_model.folder(), tmp_path / "model")
    (tmp_path / "model" / "README.md").write_text("ours")
    load(tmp_path / "model")


def test_kill_9_while_writing_leaves_the_old_model_or_none(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from xmlcli.serving import model_folder; from xmlcli.serving.model import load\n"
        "model = load(sys.argv[1]); model_folder.sync = lambda path: os.kill(os.getpid(), signal.SIGKILL)\n"
        "model.save(sys.argv[2])"
    )
    target = tmp_path / "model"
    command = [sys.executable, "-c", code, str(small_model.folder()), str(target)]
    assert subprocess.run(command, cwd=PROJECT, check=False).returncode == -9
    assert not target.exists()
    model_folder.write(target, small_model.contents())
    assert load(target).num_labels == 10


def test_the_command_writes_the_model_of_the_last_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "model"
    monkeypatch.chdir(PROJECT)
    monkeypatch.setattr(sys, "argv", ["xmlcli", "export", "--root", str(small_model.run()), str(target)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code
    assert "MiB" in capsys.readouterr().out
    for path in small_model.folder().iterdir():
        assert (target / path.name).read_bytes() == path.read_bytes()
