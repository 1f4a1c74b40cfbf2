"""One step of phase 3: its random draws, the forward pass, the gradients, and the moves of the optimisers.

A step takes a batch of documents. Its labels are the union of their labels, of the heads of their shortlists and of a
few random labels. The loss is the logistic loss of all these documents on all these labels, which is one matrix product
instead of a gather of rows for each document (`negatives: batch`). With `negatives: document`, as in the authors' code,
a document's loss counts only its own positives and shortlist.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch

from xmlcli.arrays import Floats
from xmlcli.classifiers.data import TrainingData
from xmlcli.classifiers.label_gradients import label_gradients
from xmlcli.classifiers.schedule import Schedule
from xmlcli.classifiers.targets import Targets, draw_targets
from xmlcli.classifiers.training_state import TrainingState
from xmlcli.distributed.ranks import ALONE, Ranks
from xmlcli.encoder.encoder import Encoder, TokenUse, bag
from xmlcli.encoder.head import HeadPass, draw_kept
from xmlcli.kernels.csr import CsrRows
from xmlcli.machine.threads import over_rows


@dataclass(frozen=True)
class Step:
    """What one step is made of: the batch's features by document and by token, its targets, what dropout keeps."""

    X: CsrRows
    use: TokenUse
    targets: Targets
    kept: list[Floats]


def draw_step(data: TrainingData, schedule: Schedule, number: int, encoder: Encoder, *, cycle: int, seed: int) -> Step:
    """Draw a step (0 is the cycle's first) from (seed, cycle, number), alike on all ranks but for the targets."""
    epoch, batch = divmod(number, schedule.steps_an_epoch)
    config, L = schedule.config, data.Y.shape[1]
    rows = _order(data.num_documents, seed, cycle, epoch)[
        batch * schedule.batch_size : (batch + 1) * schedule.batch_size
    ]
    rng = np.random.default_rng((seed, cycle, epoch, batch))
    kept = draw_kept(1 if encoder.residual is None else 2, len(rows), encoder.dim, encoder.dropout, rng)
    X, Y, shortlist = data.batch(rows)
    targets = draw_targets(Y, shortlist, data.trainable, config, rng).of_labels(data.ranks.share(L), L)
    return Step(X, TokenUse.of(X), targets, kept)


@lru_cache(maxsize=2)
def _order(num_documents: int, seed: int, cycle: int, epoch: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng((seed, cycle, epoch)).permutation(num_documents)


def train_step(
    model: TrainingState, step: Step, *, learning_rate: float, token_rate: float, pool: Executor,
    ranks: Ranks = ALONE,
) -> None:  # fmt: skip
    """Do one step of masked logistic loss; classifiers move at `learning_rate`.

    Of several ranks each has the classifiers of its labels, and the encoder, which moves alike on all.
    """
    device = model.encoder.tokens.device
    head = HeadPass(
        model.encoder, bag(step.X, model.encoder.tokens.data), [torch.from_numpy(k).to(device) for k in step.kept]
    )
    model.weight_optimiser.begin(learning_rate)
    model.bias_optimiser.begin(learning_rate)

    def move_labels(labels: torch.Tensor, by_weight: torch.Tensor, by_bias: torch.Tensor) -> None:
        model.weight_optimiser.move(labels, by_weight)
        model.bias_optimiser.move(labels, by_bias)

    by_documents = label_gradients(head.vectors, model.classifiers, step.targets, move_labels, pool)
    by_documents = ranks.all_reduce_sum(by_documents)
    by_bags, tokens = head.backward(by_documents), torch.from_numpy(step.use.rows).to(device)
    if model.residual_optimiser is not None:
        model.residual_optimiser.step(learning_rate)
    model.tokens_optimiser.begin(token_rate)

    def move_tokens(first: int, last: int) -> None:
        model.tokens_optimiser.move(tokens[first:last], step.use.gradient(by_bags, first, last))

    if device.type == "cpu":
        over_rows(len(tokens), move_tokens, cost=4 * model.encoder.dim)
    else:
        move_tokens(0, len(tokens))
