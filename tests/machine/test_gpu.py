"""On a GPU, where there is one: the CPU's steps, and the CPU's figures within the noise of a seed."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from sklearn.preprocessing import normalize
from support.fake_stages import drawn_state
from support.planted_data import collection
from support.tiny_dataset import opened, run, write_dataset
from support.torchrun import finished, trained

from xmlcli.classifiers import label_gradients
from xmlcli.classifiers.step import Step, train_step
from xmlcli.classifiers.targets import Targets
from xmlcli.classifiers.training_state import TrainingState
from xmlcli.config.sections import ModelConfig
from xmlcli.distributed.torch_collectives import TorchCollectives
from xmlcli.encoder.encoder import TokenUse, encode
from xmlcli.encoder.head import draw_kept
from xmlcli.kernels.csr import CsrRows
from xmlcli.runs import identity, runner
from xmlcli.shortlists.exact_index import ExactIndex

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

ENCODER = ModelConfig(dim=16, start="spectral", document_norm=0.5, activation="gelu", dropout=0.0, residual=True)


@pytest.mark.parametrize("optimiser", ["rmsprop", "adam"])
def test_a_step_is_the_cpus(optimiser: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_gradients, "matrix_dtype", lambda device: torch.float32)
    X, Y = collection(40, 10, 0)
    rows, columns = Y.nonzero()
    targets = Targets(np.arange(10), rows.astype(np.int64), columns.astype(np.int64), None)
    step = Step(X, TokenUse.of(CsrRows.of(X)), targets, draw_kept(2, 40, 16, 0.3, np.random.default_rng(0)))
    found: dict[str, TrainingState] = {}
    for device in ("cpu", "cuda"):
        model = found[device] = drawn_state(X.shape[1], 10, ENCODER, optimiser, device=device)
        with ThreadPoolExecutor(1) as pool:
            for _ in range(3):
                train_step(model, step, learning_rate=0.01, token_rate=0.02, pool=pool)
    assert found["cuda"].encoder.tokens.is_cuda
    assert found["cuda"].classifiers.weight.is_cuda
    for name, tensor in found["cpu"].tensors().items():
        assert torch.allclose(found["cuda"].tensors()[name], tensor, atol=1e-4), name
    vectors = [encode(found[device].encoder, X).cpu() for device in ("cpu", "cuda")]
    assert torch.allclose(*vectors, atol=1e-4)


def test_exact_search_is_the_cpus() -> None:
    rng = np.random.default_rng(0)
    Z, documents = (normalize(rng.normal(size=(rows, 16))).astype(np.float32) for rows in (300, 40))
    options = {"bonus": np.zeros(300, np.float32), "searchable": np.ones(300, bool)}
    found = [ExactIndex(Z, device=device, **options).search(documents, 20) for device in ("cpu", "cuda")]
    assert np.allclose(found[0][1], found[1][1], atol=1e-4)
    assert (found[0][0] == found[1][0]).mean() > 0.99


@pytest.mark.parametrize("profile", ["default", "authors"])
def test_training_gives_the_cpus_figures(tmp_path: Path, profile: str) -> None:
    dataset = write_dataset(tmp_path / "data" / "tiny")
    on_cpu = run(tmp_path / "cpu", dataset, profile)
    session, calls = opened(tmp_path / "cuda", dataset, profile)
    session = replace(session, device="cuda")
    runner.run(session, calls, calls)
    wanted, found = (json.loads(s.workspace.metrics(2).read_text()) for s in (on_cpu, session))
    for metric in ("P@1", "PSP@5"):
        assert found[metric] == pytest.approx(wanted[metric], abs=6)
    record = json.loads(session.workspace.record("train-clf-2").read_text())
    assert record["provenance"]["device"] == "cuda"
    assert record["provenance"]["peak_gpu_memory_bytes"] > 0


def test_two_ranks_that_may_share_a_gpu_give_the_figures_of_one(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "data" / "tiny")
    on_cpu = run(tmp_path / "one", dataset, "default")
    code, told = finished(trained(dataset, tmp_path / "two", device="cuda"))
    assert code == 0, told
    session, calls = opened(tmp_path / "two", dataset, "default")
    assert all(found.current for found in identity.status(session, calls))
    record = json.loads(session.workspace.record("train-clf-2").read_text())["provenance"]
    assert (record["device"], record["notes"]["ranks"]) == ("cuda", 2)
    wanted, found = (json.loads(s.workspace.metrics(2).read_text()) for s in (on_cpu, session))
    for metric in ("P@1", "PSP@5"):
        assert found[metric] == pytest.approx(wanted[metric], abs=6)


def test_nccl_and_gloo_carry_beside_each_other(tmp_path: Path) -> None:
    address = f"file://{tmp_path}/meeting"
    dist.init_process_group(
        "cpu:gloo,cuda:nccl", init_method=address, rank=0, world_size=1, device_id=torch.device("cuda", 0)
    )
    try:
        link = TorchCollectives()
        table = torch.arange(6.0, device="cuda").reshape(3, 2)
        assert torch.equal(link.reduce(table.clone(), "sum"), table)
        assert link.reduce(np.array([3, 4]), "max").tolist() == [3, 4]
        assert link.gather([np.array([1, 2])])[0][0].tolist() == [1, 2]
        assert link.exchange([[np.array([5])]])[0][0].tolist() == [5]
        assert link.broadcast("a decision") == "a decision"
    finally:
        dist.destroy_process_group()
