"""The real stages end to end on a tiny dataset: what comes out, and who reads test labels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.tiny_dataset import LABELS, PROFILES, contents, finished_root, opened, run, shared_dataset, write_dataset

from xmlcli.classifiers import training
from xmlcli.classifiers.training_state import TrainingState
from xmlcli.label_embeddings import proxy
from xmlcli.label_embeddings.proxy import ProxyMap
from xmlcli.machine.threads import WorkQueue
from xmlcli.runs import identity, runner
from xmlcli.stages import embed_labels, train_clf
from xmlcli.stages.inputs import without_validation
from xmlcli.storage import files
from xmlcli.storage.artifacts import read
from xmlcli.storage.workspace import Ref


@pytest.fixture(scope="module")
def dataset() -> Path:
    return shared_dataset()


@pytest.fixture(scope="module")
def roots() -> dict[str, Path]:
    """A root for each profile with a finished run in it."""
    return {profile: finished_root(profile) for profile in PROFILES}


@pytest.mark.parametrize("profile", PROFILES)
def test_a_planted_dataset_is_learnt(roots: dict[str, Path], dataset: Path, profile: str) -> None:
    session, calls = opened(roots[profile], dataset, profile)
    assert all(status.current for status in identity.status(session, calls))
    metrics = [json.loads(session.workspace.metrics(cycle).read_text()) for cycle in (1, 2)]
    for cycle in metrics:
        for measured in (cycle, cycle["validation"]):
            values = [value for value in measured.values() if not isinstance(value, dict)]
            assert len(values) == 15
            assert all(0 <= value <= 100 for value in values)
    assert metrics[1]["P@1"] > 80
    assert metrics[1]["R@5"] > 80
    assert metrics[1]["validation"]["P@1"] > 80
    assert metrics[1]["P@1"] < 100  # a document without features is among them


@pytest.mark.parametrize("profile", PROFILES)
def test_the_artifacts_of_a_run_fit_together(roots: dict[str, Path], dataset: Path, profile: str) -> None:
    session, calls = opened(roots[profile], dataset, profile)
    found = {call.name: read(session.workspace.artifact(call.output), call.output.kind, made_by="") for call in calls}
    for artifact in found.values():
        artifact.verify_content()
    L = LABELS + 1
    last_labels = "embed-labels-4" if session.config.final_refresh else "embed-labels-2"
    assert (last_labels in found) == (calls[-1].inputs["labels"] == Ref("labels", int(last_labels[-1])))
    shortlist = found["shortlist-2"].array("indices.npy")
    assert ((shortlist == LABELS).any()) == (profile == "authors")  # the label without documents
    assert found["shortlist-2"].array("scores.npy")[shortlist < L].min() >= -1.01
    top = found["evaluate-2"].array("test_top.npy")
    assert top.shape == (60, 10)
    for row in top:
        real = row[row < L]
        assert len(np.unique(real)) == len(real)
        assert (row[len(real) :] == L).all()
    for cycle in (1, 2):
        Z = found[f"embed-labels-{cycle}"].array("Z.npy")
        lengths = np.linalg.norm(Z, axis=1)
        assert np.allclose(lengths[:LABELS], 1, atol=1e-5)
        chosen = found[f"embed-labels-{cycle}"].json("report.json")["bonus"]
        assert chosen["prior"] in session.config.proxy.priors
        assert chosen["base_rate"] in session.config.proxy.base_rates
        Y = found["prepare"].csr("Y_train.npz")[: without_validation(found["prepare"])]
        frequencies = Y.getnnz(axis=0)
        bonus = chosen["prior"] * np.log1p(frequencies) + chosen["base_rate"] * frequencies / Y.shape[0]
        assert np.allclose(found[f"embed-labels-{cycle}"].array("bonus.npy"), bonus)
        assert found[f"train-clf-{cycle}"].has("linear.npz") == (profile == "default" and cycle == 2)
    before, after = (found[f"train-clf-{c}"].tensors("model.safetensors") for c in (1, 2))
    assert not np.array_equal(before["encoder.tokens"], after["encoder.tokens"])


def test_the_default_starts_at_documents_of_the_length_asked_and_at_the_labels_frequencies(
    roots: dict[str, Path], dataset: Path
) -> None:
    session, calls = opened(roots["default"], dataset, "default")
    prepared, clf = (read(session.workspace.artifact(c.output), c.output.kind, made_by="") for c in calls[:2])
    tensors = clf.numpy_tensors("model.safetensors")
    learnt = without_validation(prepared)
    documents = prepared.csr("X_train.npz")[:learnt] @ tensors["encoder.tokens"]
    assert np.linalg.norm(documents, axis=1).mean() == pytest.approx(session.config.model.document_norm, rel=1e-4)
    assert not tensors["classifiers.weight"].any()
    Y = prepared.csr("Y_train.npz")[:learnt]
    wanted = np.minimum(np.log((Y.getnnz(axis=0) + 0.5) / Y.shape[0]), -1)
    assert np.allclose(tensors["classifiers.bias"][:, 0], wanted, atol=1e-5)


@pytest.mark.parametrize("profile", ["default"])
def test_a_second_run_elsewhere_gives_the_same_bytes(
    roots: dict[str, Path], dataset: Path, tmp_path: Path, profile: str
) -> None:
    run(tmp_path, dataset, profile)
    assert contents(tmp_path) == contents(roots[profile])


def test_another_seed_gives_other_weights(roots: dict[str, Path], dataset: Path, tmp_path: Path) -> None:
    session, calls = opened(tmp_path, dataset, "default", seed=99)
    runner.run(session, calls[:2], calls)
    name = Path("artifacts/tiny/cycle0/clf/model.safetensors")
    one, other = (files.load_tensors(root / name)["encoder.tokens"] for root in (tmp_path, roots["default"]))
    assert not torch.equal(one, other)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_cycle_starts_where_the_one_before_ended(
    tmp_path: Path, dataset: Path, profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps: list[dict[str, torch.Tensor]] = []
    models: list[dict[str, torch.Tensor]] = []

    def train_proxy(g: ProxyMap, *args: Any, **options: Any) -> float:
        maps.append({name: tensor.clone() for name, tensor in g.state_dict().items()})
        return proxy.train_proxy(g, *args, **options)

    def train(model: TrainingState, *args: Any, **options: Any) -> None:
        models.append({name: t.clone() for name, t in (model.tensors() | model.optimiser_tensors()).items()})
        training.train(model, *args, **options)

    monkeypatch.setattr(embed_labels, "train_proxy", train_proxy)
    monkeypatch.setattr(train_clf, "train", train)
    workspace = run(tmp_path, dataset, profile).workspace
    clf, labels = workspace.artifact(Ref("clf", 1)), workspace.artifact(Ref("labels", 1))
    ended = files.load_tensors(clf / "model.safetensors") | files.load_tensors(clf / "optimiser.safetensors")
    for started, last in ((maps[1], files.load_tensors(labels / "proxy.safetensors")), (models[1], ended)):
        assert started.keys() == last.keys()
        assert all(torch.equal(started[name], tensor) for name, tensor in last.items())


def test_the_last_cycle_trains_the_linear_part_in_the_background_and_only_that(
    tmp_path: Path, dataset: Path, roots: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    aside: list[WorkQueue[Any, Any] | None] = []

    @contextmanager
    def all_of_it(turns: WorkQueue[Any, Any] | None) -> Iterator[None]:
        aside.append(turns)
        if turns is not None:
            turns.take()
        yield

    monkeypatch.setattr(train_clf, "in_background", all_of_it)
    run(tmp_path, dataset, "default")
    assert [turns is not None for turns in aside] == [False, True]
    assert contents(tmp_path) == contents(roots["default"])


def test_other_test_labels_change_nothing_but_the_measured_quality(roots: dict[str, Path], tmp_path: Path) -> None:
    run(tmp_path / "root", write_dataset(tmp_path / "tiny", other_test_labels=True), "default")
    one, other = contents(roots["default"]), contents(tmp_path / "root")
    assert one.keys() == other.keys()
    different = {name for name in one if one[name] != other[name]}
    assert different == {
        "tiny/prepared/Y_test.npz",
        "tiny/prepared/manifest.json",
        *(f"tiny/cycle{c}/evaluation/{name}.json" for c in (1, 2) for name in ("metrics", "report", "manifest")),
    }
    for cycle in (1, 2):
        name = f"tiny/cycle{cycle}/evaluation/metrics.json"
        assert json.loads(one[name])["validation"] == json.loads(other[name])["validation"]


@pytest.mark.parametrize("fraction", [0.0, 0.5])
@pytest.mark.parametrize("profile", PROFILES)
def test_a_run_needs_no_validation_documents(tmp_path: Path, dataset: Path, profile: str, fraction: float) -> None:
    session = run(tmp_path, dataset, profile, cycles=1, clf__max_epochs=1, prepare__validation_fraction=fraction)
    metrics = json.loads(session.workspace.metrics(1).read_text())
    assert bool(metrics["validation"]) == (fraction > 0)
    assert metrics["P@1"] > 0


@pytest.mark.parametrize("profile", PROFILES)
def test_a_dataset_without_test_documents_is_measured_on_validation(
    tmp_path: Path, dataset: Path, profile: str
) -> None:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "train.txt").write_bytes((dataset / "train.txt").read_bytes())
    session = run(tmp_path, tmp_path / "tiny", profile, cycles=1, clf__max_epochs=1)
    metrics = json.loads(session.workspace.metrics(1).read_text())
    assert metrics.keys() == {"validation", "of"}
    assert metrics["of"].keys() == {"validation"}
    assert metrics["validation"]["P@1"] > 0


def test_a_cut_off_beyond_the_ranking_kept_is_measured(tmp_path: Path, dataset: Path) -> None:
    session = run(tmp_path, dataset, "default", cycles=1, clf__max_epochs=1, evaluate__ks=[1, 12], evaluate__top_k=3)
    assert json.loads(session.workspace.metrics(1).read_text())["R@12"] > 0


@pytest.mark.parametrize(
    "change",
    [
        {"shortlist__size": 4},
        {"linear__enabled": False},
        {"shortlist__backend": "exact"},
        {"model__residual": False},
        {"clf__max_epochs": 0},
        {"proxy__epochs": 0, "shortlist__backend": "nmslib"},
        {"clf__random_negatives": 0, "clf__hard_negatives": 0},
    ],
    ids=lambda change: " ".join(change),
)
def test_other_settings_train_too(tmp_path: Path, dataset: Path, change: dict[str, object]) -> None:
    session = run(tmp_path, dataset, "default", **{"cycles": 1, "clf__max_epochs": 2, **change})
    assert json.loads(session.workspace.metrics(1).read_text())["P@1"] > 30
