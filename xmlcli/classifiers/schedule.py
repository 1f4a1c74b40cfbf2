"""The schedule of phase 3: how many steps a cycle has, and their learning rates."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from xmlcli.config.sections import ClfConfig

_MOST_TOKEN_SHARE = 3.0


@dataclass(frozen=True)
class Schedule:
    """How many steps there are in a cycle and in all, and their learning rates.

    The number of steps that training needs hardly depends on the number of documents. So small collections get more
    epochs, until `min_documents` documents have been seen over all cycles, and smaller batches, until an epoch has
    `min_batches` of them.
    """

    batch_size: int
    steps_an_epoch: int
    epochs: int
    cycles: int
    config: ClfConfig
    token_share: float
    """Learning rate of the token vectors, as a multiple of the classifiers': smaller where more documents move them."""

    @staticmethod
    def of(num_documents: int, cycles: int, config: ClfConfig) -> Schedule:
        """Derive the schedule of a collection from its number of training documents."""
        fitting = max(num_documents // config.min_batches, 1)
        batch_size = min(config.batch_size, max(32, 2 ** (fitting.bit_length() - 1)))
        wanted = -(-config.min_documents // max(num_documents * cycles, 1))
        epochs = min(max(config.epochs, wanted), config.max_epochs)
        usual = config.token_rate_documents
        share = 1.0 if usual is None else min(sqrt(usual / max(num_documents, 1)), _MOST_TOKEN_SHARE)
        return Schedule(batch_size, -(-num_documents // batch_size), epochs, cycles, config, share)

    @property
    def steps(self) -> int:
        """Steps of one cycle."""
        return self.epochs * self.steps_an_epoch

    def learning_rate(self, cycle: int, step: int) -> float:
        """Return the rate of a step (0 is the cycle's first) in a cycle (1 is the first)."""
        done = (cycle - 1) * self.steps + step
        if self.config.schedule == "linear":
            total = self.cycles * self.steps
            warm = min(1.0, (done + 1) / max(0.05 * total, 1))
            return self.config.learning_rate * warm * max(0.02, 1 - done / total)
        return self.config.learning_rate * 0.5 ** halvings(done // self.steps_an_epoch, self.config.halve_after)


def halvings(epoch: int, after: int) -> int:
    """Return how often the authors' schedule has halved the rate by the start of `epoch`.

    Where the gap divides the epoch, the rate is halved and so is the gap, which never falls below 5.
    """
    count, gap = 0, after
    for e in range(1, epoch + 1):
        if e % gap == 0:
            count, gap = count + 1, max(5, gap // 2)
    return count
