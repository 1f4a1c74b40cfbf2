"""What stage train-clf no longer holds when its sparse part is prepared and finished."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import pytest
from support.tiny_dataset import run, shared_dataset

from xmlcli.classifiers.one_vs_rest import LinearTraining
from xmlcli.stages import train_clf


def test_shortlists_and_model_are_let_go_before_the_sparse_part_needs_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: dict[str, weakref.ref[Any]] = {}
    told: list[str] = []
    own_problems, load = train_clf.own_problems, train_clf._load

    def note_shortlists(data: Any, X: Any) -> Any:
        held["shortlist"] = weakref.ref(data.shortlist)
        return own_problems(data, X)

    def note_model(*arguments: Any) -> Any:
        model = load(*arguments)
        held["model"] = weakref.ref(model)
        return model

    class Training(LinearTraining):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            told.append(f"prepared {[name for name, ref in held.items() if ref() is not None]}")
            super().__init__(*arguments, **named)

        def finish(self, *arguments: Any) -> Any:
            told.append(f"finished {[name for name, ref in held.items() if ref() is not None]}")
            return super().finish(*arguments)

    monkeypatch.setattr(train_clf, "own_problems", note_shortlists)
    monkeypatch.setattr(train_clf, "_load", note_model)
    monkeypatch.setattr(train_clf, "LinearTraining", Training)
    run(tmp_path, shared_dataset(), "default", cycles=1, clf__max_epochs=1, clf__hard_negatives=2)
    assert told == ["prepared ['model']", "finished []"]
