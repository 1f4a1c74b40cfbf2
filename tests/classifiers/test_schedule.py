"""How many steps training takes and at which rates."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.fake_stages import make_config

from xmlcli.classifiers.schedule import Schedule, halvings

LINEAR = replace(
    make_config().clf, epochs=2, min_documents=0, max_epochs=20, batch_size=32, min_batches=1, schedule="linear"
)  # fmt: skip


def test_the_authors_rate_is_halved_at_the_epochs_of_their_schedule() -> None:
    def epochs_of_halving(epochs: int, after: int) -> list[int]:
        return [e for e in range(1, epochs) if halvings(e, after) > halvings(e - 1, after)]

    assert halvings(0, 14) == 0
    assert epochs_of_halving(26, 14) == [14, 21, 25]
    assert epochs_of_halving(21, 14) == [14]
    assert epochs_of_halving(21, 8) == [8, 10, 15, 20]
    config = replace(LINEAR, schedule="halving", epochs=7, batch_size=100, learning_rate=0.008, halve_after=14)
    schedule = Schedule.of(300, 4, config)
    rates = [schedule.learning_rate(cycle, step) for cycle in (1, 2, 3, 4) for step in range(schedule.steps)]
    assert len(rates) == 28 * schedule.steps_an_epoch
    by_epoch = [rates[e * schedule.steps_an_epoch] for e in range(28)]
    assert by_epoch == [0.008] * 14 + [0.004] * 7 + [0.002] * 4 + [0.001] * 3


def test_the_linear_rate_warms_up_and_falls_over_all_cycles() -> None:
    schedule = Schedule.of(320, 2, replace(LINEAR, epochs=10, learning_rate=0.4))
    total = 2 * schedule.steps
    rates = [schedule.learning_rate(cycle, step) for cycle in (1, 2) for step in range(schedule.steps)]
    warm = total // 20
    assert rates[0] == pytest.approx(0.4 / warm)
    assert rates.index(max(rates)) in (warm - 1, warm)
    assert max(rates) == pytest.approx(0.4, rel=0.06)
    assert rates[total // 2] == pytest.approx(0.2)
    assert rates[-1] == pytest.approx(0.4 * 0.02)
    assert all(a > b or b == pytest.approx(0.008) for a, b in zip(rates[warm:], rates[warm + 1 :], strict=False))


@pytest.mark.parametrize(
    ("documents", "cycles", "changes", "batch_size", "steps_an_epoch", "epochs"),
    [
        (1000, 2, {}, 512, 2, 1),
        (1000, 2, {"min_documents": 9000}, 512, 2, 5),
        (1000, 2, {"min_documents": 10**9, "max_epochs": 7}, 512, 2, 7),
        (1000, 2, {"min_batches": 10}, 64, 16, 1),
        (1000, 2, {"min_batches": 1000}, 32, 32, 1),
        (1000, 2, {"batch_size": 255}, 255, 4, 1),
        (20, 2, {"batch_size": 8}, 8, 3, 1),
        (1, 1, {"min_documents": 50}, 32, 1, 20),
        (0, 1, {"min_documents": 50}, 32, 0, 20),
    ],
)
def test_schedules_are_derived_from_the_number_of_documents(
    documents: int, cycles: int, changes: dict[str, int], batch_size: int, steps_an_epoch: int, epochs: int
) -> None:
    config = replace(LINEAR, **{"epochs": 1, "batch_size": 512, **changes})  # type: ignore[arg-type]
    found = Schedule.of(documents, cycles, config)
    assert (found.batch_size, found.steps_an_epoch, found.epochs) == (batch_size, steps_an_epoch, epochs)
    assert found.steps == steps_an_epoch * epochs


def test_token_vectors_move_slower_the_more_documents_there_are() -> None:
    for num_documents, share in ((1000, 1.0), (4000, 0.5), (250, 2.0), (100, 3.0), (0, 3.0)):
        assert Schedule.of(num_documents, 2, replace(LINEAR, token_rate_documents=1000)).token_share == share
        assert Schedule.of(num_documents, 2, replace(LINEAR, token_rate_documents=None)).token_share == 1.0
