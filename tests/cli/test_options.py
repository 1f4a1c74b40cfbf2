"""The short options stand for the settings that they name."""

from __future__ import annotations

import pytest
from support.paths import PROJECT

from xmlcli.cli.options import Options, open_run


@pytest.mark.parametrize("seed", [0, 5])
def test_seed_is_short_for_set_seed_even_0(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    opened = open_run(Options(dataset="demo", set_=["seed=7"], seed=seed))
    assert opened.config.seed == seed
    assert opened.overrides["seed"] == seed
    assert open_run(Options(dataset="demo", set_=["seed=7"])).config.seed == 7
