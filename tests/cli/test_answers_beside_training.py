"""While a real training runs in another process, every answer is that of one of the two trainings, whole."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from support import small_model
from support.paths import PROJECT
from support.small_model import SMALL

from xmlcli.cli.options import Options
from xmlcli.cli.predict import open_trained

TEXTS = [*small_model.texts_and_labels(20, 5)[0], ""]


def test_every_answer_beside_a_training_is_of_one_training(tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(small_model.run(), root)
    dataset = str(root / "data" / "subjects")

    def answer() -> str:
        return repr(open_trained(Options(dataset=dataset, root=root), lambda trained: trained.model()).predict(TEXTS))

    values = SMALL | {"seed": 2, "evaluate.top_k": 20}
    words = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
    old, answers = answer(), []
    command = [sys.executable, "-m", "xmlcli", "train", "--dataset", dataset, "--root", str(root)]
    command += [*words, "--replace", "--device", "cpu"]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL) as training:
        while training.poll() is None:
            answers.append(answer())
    assert training.returncode == 0
    new = answer()
    assert old != new
    assert set(answers) <= {old, new}
    assert len(answers) > 5
    assert answers == sorted(answers, key=lambda found: found == new), "once new, always new"
