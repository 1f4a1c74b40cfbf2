"""The short options stand for the settings that they name."""

from __future__ import annotations

import pytest
from support.command_line import main
from support.paths import PROJECT

from xmlcli.cli.options import Options, open_run


@pytest.mark.parametrize("seed", [0, 5])
def test_seed_is_short_for_set_seed_even_0(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    opened = open_run(Options(dataset="demo", set_=["seed=7"], seed=seed))
    assert opened.config.seed == seed
    assert opened.overrides["seed"] == seed
    assert open_run(Options(dataset="demo", set_=["seed=7"])).config.seed == 7


def test_help_shows_a_commands_own_options_first_and_none_without_effect(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    for command, own, idle in (("predict", "--threshold", "--seed"), ("export", "--cycle", "--label-separator")):
        assert main(monkeypatch, command, "--help") == 0
        shown = capsys.readouterr().out
        assert shown.index("Options:") < shown.index(own) < shown.index("The run:") < shown.rindex("--dataset")
        assert idle not in shown
        assert main(monkeypatch, command, "--dataset", "nope", idle, "3", *(["x"] if command == "export" else [])) == 2
        assert command == "predict" or f"warning: {idle} has no effect here" in capsys.readouterr().err
