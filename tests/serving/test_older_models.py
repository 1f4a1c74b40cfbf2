"""A folder that an earlier version exported is read, and answers as it did."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.paths import PROJECT

from xmlcli.serving.model import load

FORMAT_3 = PROJECT / "tests" / "serving" / "format3"
"""Exported on 2026-11-30, before there were scores of label names, with its answers to some texts."""


def test_a_folder_of_format_3_answers_as_it_did() -> None:
    model = load(FORMAT_3 / "model")
    answers = json.loads((FORMAT_3 / "answers.json").read_text(encoding="utf-8"))
    found = model.predict([answer["text"] for answer in answers], 3)
    assert len(found) == 8
    for predicted, answer in zip(found, answers, strict=True):
        assert [name for name, _ in predicted] == [name for name, _ in answer["labels"]]
        assert [p for _, p in predicted] == pytest.approx([p for _, p in answer["labels"]], abs=1e-3)


def test_a_folder_that_is_read_can_be_saved_and_read_again(tmp_path: Path) -> None:
    model = load(FORMAT_3 / "model")
    model.save(tmp_path / "again")
    assert load(tmp_path / "again").predict(["ships0 ships1"]) == model.predict(["ships0 ships1"])
