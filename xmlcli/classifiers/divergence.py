"""Notice a training that diverges, by the loss of a few documents at the end of each epoch."""

from __future__ import annotations

import logging
import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy.special import entr

from xmlcli.classifiers.data import TrainingData
from xmlcli.classifiers.schedule import Schedule
from xmlcli.classifiers.targets import draw_targets
from xmlcli.classifiers.training_state import TrainingState
from xmlcli.encoder.encoder import bag
from xmlcli.errors import TrainingError

_DOCUMENTS = 64  # whose loss takes a few milliseconds
_log = logging.getLogger("xmlcli")


class DivergenceCheck:
    """The mean loss of the same documents on the same labels, at the start of a cycle and after each of its epochs.

    The labels are those that a batch of these documents is trained on. The start counts as no lower than what constant
    probabilities reach.
    """

    def __init__(self, model: TrainingState, data: TrainingData, schedule: Schedule, *, cycle: int, seed: int) -> None:
        """Measure the start; `model` is as the cycle begins."""
        rng, L = np.random.default_rng((seed, cycle)), data.Y.shape[1]
        self._X, Y, shortlist = data.batch(rng.permutation(data.num_documents)[:_DOCUMENTS])
        targets = draw_targets(Y, shortlist, data.trainable, schedule.config, rng)
        self._targets = targets.of_labels(data.ranks.share(L), L)
        self._model, self._schedule, self._cycle, self._ranks = model, schedule, cycle, data.ranks
        self._start, self._warned = max(self.loss(), self._loss_of_constants()), False

    @torch.no_grad()
    def loss(self) -> float:
        """Return the sum of the logistic losses of a document on all labels that count, on average, without dropout."""
        classifiers, encoder, targets = self._model.classifiers, self._model.encoder, self._targets
        labels, rows, columns = (
            torch.from_numpy(ids).to(encoder.tokens.device) for ids in (targets.labels, targets.rows, targets.columns)
        )
        documents = encoder.head(bag(self._X, encoder.tokens.data))
        logits = F.linear(documents, classifiers.weight[labels], classifiers.bias[labels, 0])
        losses = F.softplus(logits)
        losses[rows, columns] -= logits[rows, columns]
        if targets.mask is not None:
            losses *= torch.from_numpy(targets.mask).to(losses.device)
        return self._ranks.sum_over_ranks(float(losses.sum())) / max(self._X.shape[0], 1)

    def _loss_of_constants(self) -> float:
        """Return the same loss where each label has the probability of its share of the documents.

        A later cycle starts below it, and may first rise without diverging.
        """
        targets, count = self._targets, self._X.shape[0]
        positives = np.bincount(targets.columns, minlength=len(targets.labels))
        cells = np.full(len(positives), count) if targets.mask is None else targets.mask.sum(axis=0)
        share = positives / np.maximum(cells, 1)
        return self._ranks.sum_over_ranks(float((cells * (entr(share) + entr(1 - share))).sum())) / max(count, 1)

    def after_step(self, done: int) -> None:
        """Look at the loss where `done` steps of the cycle end an epoch: one above the start is logged, once a cycle.

        Raises TrainingError where the loss is not finite.
        """
        if done % self._schedule.steps_an_epoch:
            return
        loss = self.require_finite(done)
        if loss > self._start and not self._warned:
            self._warned = True
            told = self._told(done, loss)
            _log.warning("the training seems to diverge (%s): %s; %s", told["where"], told["found"], told["remedy"])

    def require_finite(self, done: int) -> float:
        """Return the loss after `done` steps of the cycle; TrainingError where it is not finite."""
        loss = self.loss()
        if not math.isfinite(loss):
            raise TrainingError("the training diverges", expected="a finite loss", **self._told(done, loss))
        return loss

    def _told(self, done: int, loss: float) -> dict[str, str]:
        """Return what there is to say of a loss, by the arguments of an XmlcliError."""
        tables = (self._model.encoder.tokens.data, self._model.classifiers.weight, self._model.classifiers.bias)
        largest = np.max([float(table.abs().max()) for table in tables if table.numel()])
        rate = self._schedule.config.learning_rate
        return {
            "where": f"cycle {self._cycle}, epoch {-(-done // self._schedule.steps_an_epoch)}, step {done}",
            "found": f"a loss of {loss:.4g}, at the start {self._start:.4g}; the largest weight is {largest:.4g}",
            "remedy": f"train at a lower rate, such as --set clf.learning_rate={rate / 10:g}",
        }
