"""The table that dvc.yaml reads: params.yaml, written from the plan because templates do no arithmetic.

runs:         <run>: {options}
embeddings:   <run>-<cycle>: {run, options, cycle, previous, carried}
cycles:       <run>-<cycle>: {run, options, cycle, previous, proposed}
combinations: <run>-<cycle>: {run, options, cycle, labels}
finished:     <run>-<cycle>: {run, options, cycle, next}
evaluations:  <run>-<cycle>: {run, options, cycle, clf, labels}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xmlcli.config.sections import Config
from xmlcli.errors import ConfigError
from xmlcli.runs.plan import plan
from xmlcli.stages.call import RunId
from xmlcli.storage.atomic import atomic_file

Table = dict[str, dict[str, dict[str, Any]]]
_HEADER = "# Written by `xmlcli plan --write` and read by dvc.yaml. To add a dataset: xmlcli plan --add NAME --write\n"


def table(runs: Sequence[tuple[RunId, Config]]) -> Table:
    """Return the table of runs, each with its settings."""
    result: Table = {"runs": {}, "embeddings": {}, "cycles": {}, "combinations": {}, "finished": {}, "evaluations": {}}
    for run, config in runs:
        common = {"options": run.options}
        result["runs"][run.name] = common
        for call in plan(config, run):
            if call.cycle is None:
                continue
            key, row = f"{run.name}-{call.cycle}", {"run": run.name, **common, "cycle": call.cycle}
            if call.stage == "embed-labels":
                carried = "labels" if "labels" in call.inputs else "clf"
                result["embeddings"][key] = row | {"previous": call.cycle - 1, "carried": carried}
            elif call.stage == "shortlist":
                proposed = call.inputs.get("shortlist", call.inputs["clf"])
                result["cycles"][key] = row | {
                    "previous": call.cycle - 1,
                    "proposed": f"cycle{proposed.cycle}/{proposed.kind}",
                }
            elif call.stage == "combine":
                result["combinations"][key] = row | {"labels": call.inputs["labels"].cycle}
            elif call.stage == "evaluate":
                result["evaluations"][key] = row | {kind: call.inputs[kind].cycle for kind in ("clf", "labels")}
            elif call.stage == "finish":
                result["finished"][key] = row | {"next": call.output.cycle}
    return result


def read_runs(path: Path) -> list[RunId]:
    """Return the runs in a table; none where there is no file. ConfigError where it is no such table."""
    if not path.exists():
        return []
    rows = load(path).get("runs")
    if not isinstance(rows, dict) or not all(isinstance(row, dict) and "options" in row for row in rows.values()):
        raise ConfigError("the table of DVC's runs is damaged", where=str(path), remedy="restore it with git")
    return [_run(str(row["options"])) for row in rows.values()]


def is_written(path: Path, wanted: Table) -> bool:
    """Whether the file holds the table."""
    return path.exists() and load(path) == wanted


def write(path: Path, wanted: Table) -> None:
    """Replace the file by the table."""
    import yaml

    text = _HEADER + yaml.safe_dump(wanted, sort_keys=False, default_flow_style=None, width=200)
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def load(path: Path) -> Mapping[str, Any]:
    """Return the file's content, empty where it is no mapping; ConfigError where it is no YAML."""
    from xmlcli.config.yaml_reader import content_of

    content = content_of(path)
    return content if isinstance(content, dict) else {}


def _run(options: str) -> RunId:
    """Return the run that `RunId.options` wrote."""
    words = options.split()
    values = dict(zip(words[::2], words[1::2], strict=False))
    return RunId(values.get("--dataset", ""), values.get("--profile"), values.get("--name"))
