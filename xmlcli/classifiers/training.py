"""Phase 3: train the encoder and the classifiers together on positives and shortlisted negatives, step by step.

Every step draws its random numbers from (seed, cycle, step) alone. So a run that goes on from a checkpoint makes the
same steps as one that was never stopped. A thread draws the next step during the forward pass of the current one, which
leaves the second processor idle.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from functools import partial

from xmlcli.classifiers.data import TrainingData
from xmlcli.classifiers.schedule import Schedule
from xmlcli.classifiers.step import Step, draw_step, train_step
from xmlcli.classifiers.training_state import TrainingState
from xmlcli.machine.torch_threads import one_thread_each
from xmlcli.progress import Progress, silent


def train(
    model: TrainingState,
    data: TrainingData,
    schedule: Schedule,
    *,
    cycle: int,
    seed: int,
    start: int = 0,
    after_step: Callable[[int], None] = lambda done: None,
    progress: Progress = silent,
) -> None:
    """Train the model in place from step `start` to the end of the cycle; `after_step` hears how many are done."""
    draw = partial(draw_step, data, schedule, encoder=model.encoder, cycle=cycle, seed=seed)
    with one_thread_each() as pool:
        steps = _drawn(draw, range(start, schedule.steps), pool if data.ranks.size == 1 else None)
        for number, step in enumerate(steps, start):
            rate = schedule.learning_rate(cycle, number)
            train_step(
                model,
                step,
                learning_rate=rate,
                token_rate=rate * schedule.token_share,
                pool=pool,
                ranks=data.ranks,
            )
            after_step(number + 1)
            progress("train", number + 1, schedule.steps)


def _drawn(draw: Callable[[int], Step], numbers: range, pool: Executor | None) -> Iterator[Step]:
    """Yield the steps of these numbers, each drawn while the one before is made.

    Without a pool a step is drawn when it is asked for: what ranks send each other must keep its order.
    """
    if pool is None:
        yield from map(draw, numbers)
        return
    ahead = deque(pool.submit(draw, number) for number in numbers[:1])
    for number in numbers[1:]:
        step = ahead.popleft().result()
        ahead.append(pool.submit(draw, number))
        yield step
    yield from (last.result() for last in ahead)
