"""The plan: the stage calls of a run, in the order they can be made, each with its inputs and its output.

    prepare, init-clf                              then for each cycle c
    embed-labels c    prepared, clf c-1            and, from the second cycle on, labels c-1 for the map carried over
    shortlist c       prepared, clf c-1, labels c and, from the second cycle on, shortlist 1 for what words proposed
    train-clf c       prepared, clf c-1, labels c, shortlist c
                                                   and after the last cycle C
    embed-labels C+1  as above, with `final_refresh`
    combine C         prepared, clf C, labels C+1 with `final_refresh`, labels C without
    finish C          prepared, clf C, labels C, shortlist C; its output is clf C+1, which has learnt from all documents
    embed-labels C+2  as above, with `final_refresh`
    evaluate C        prepared, clf C+1, labels C+2 or labels C, combination C

With `measure_every_cycle` the earlier cycles c have a combine c and an evaluate c too, both on clf c. dvc.yaml spells
the same plan as templates; a test compares the two.
"""

from __future__ import annotations

from xmlcli.config.sections import Config
from xmlcli.errors import UsageError
from xmlcli.stages.call import Call, RunId
from xmlcli.storage.workspace import Ref

CYCLE_STAGES = ("embed-labels", "shortlist", "train-clf", "combine", "finish", "evaluate")
STAGES = ("prepare", "init-clf", *CYCLE_STAGES)


def plan(config: Config, run: RunId) -> list[Call]:
    """Return the calls of a run; every input is the output of an earlier call."""
    prepared = Ref("prepared")
    calls = [
        Call("prepare", run, None, prepared),
        Call("init-clf", run, None, Ref("clf", 0), {"prepared": prepared}),
    ]
    for c in range(1, config.cycles + 1):
        inputs = {"prepared": prepared, "clf": Ref("clf", c - 1)}
        calls.append(_embed_labels(run, c))
        if c > 1 and config.final_refresh and config.measure_every_cycle:
            calls += _measure(run, c - 1, labels=c)
        inputs["labels"] = Ref("labels", c)
        proposed = {"shortlist": Ref("shortlist", 1)} if c > 1 and config.shortlist.backend == "words" else {}
        calls.append(Call("shortlist", run, c, Ref("shortlist", c), inputs | proposed))
        inputs["shortlist"] = Ref("shortlist", c)
        calls.append(Call("train-clf", run, c, Ref("clf", c), dict(inputs)))
        if c < config.cycles and not config.final_refresh and config.measure_every_cycle:
            calls += _measure(run, c, labels=c)
    return calls + _last(config, run)


def _last(config: Config, run: RunId) -> list[Call]:
    """Return the calls after the last cycle."""
    C, prepared, refresh = config.cycles, Ref("prepared"), config.final_refresh
    model = {kind: Ref(kind, C) for kind in ("clf", "labels", "shortlist")} | {"prepared": prepared}
    return [
        *([_embed_labels(run, C + 1)] if refresh else []),
        _combine(run, C, labels=C + 1 if refresh else C),
        Call("finish", run, C, Ref("clf", C + 1), model),
        *([_embed_labels(run, C + 2)] if refresh else []),
        _evaluate(run, C, clf=C + 1, labels=C + 2 if refresh else C),
    ]


def find_call(calls: list[Call], stage: str, cycle: int | None) -> Call:
    """Return the call of that stage and cycle; UsageError where the plan has none."""
    for call in calls:
        if (call.stage, call.cycle) == (stage, cycle):
            return call
    cycles = [str(call.cycle) for call in calls if call.stage == stage]
    raise UsageError(
        f"the plan has no {stage} for cycle {cycle}",
        expected=f"cycle {cycles[0]} to {cycles[-1]}",
        remedy="set `cycles` in the pipeline file, then write DVC's table with: xmlcli plan --write",
    )


def makers(calls: list[Call]) -> dict[Ref, Call]:
    """Return which call makes each artifact."""
    return {call.output: call for call in calls}


def ancestors(calls: list[Call], call: Call) -> list[Call]:
    """Return the calls that an output depends on, directly or not, in the plan's order."""
    made_by = makers(calls)
    wanted: set[str] = set()
    pending = list(call.inputs.values())
    while pending:
        before = made_by[pending.pop()]
        if before.name not in wanted:
            wanted.add(before.name)
            pending += before.inputs.values()
    return [c for c in calls if c.name in wanted]


def _embed_labels(run: RunId, cycle: int) -> Call:
    inputs = {"prepared": Ref("prepared"), "clf": Ref("clf", cycle - 1)}
    if cycle > 1:
        inputs["labels"] = Ref("labels", cycle - 1)
    return Call("embed-labels", run, cycle, Ref("labels", cycle), inputs)


def _measure(run: RunId, cycle: int, *, labels: int) -> list[Call]:
    """Return the calls that measure the model of an earlier cycle."""
    return [_combine(run, cycle, labels=labels), _evaluate(run, cycle, clf=cycle, labels=labels)]


def _combine(run: RunId, cycle: int, *, labels: int) -> Call:
    inputs = {"prepared": Ref("prepared"), "clf": Ref("clf", cycle), "labels": Ref("labels", labels)}
    return Call("combine", run, cycle, Ref("combination", cycle), inputs)


def _evaluate(run: RunId, cycle: int, *, clf: int, labels: int) -> Call:
    inputs = {"prepared": Ref("prepared"), "clf": Ref("clf", clf), "labels": Ref("labels", labels)}
    inputs["combination"] = Ref("combination", cycle)
    return Call("evaluate", run, cycle, Ref("evaluation", cycle), inputs)
