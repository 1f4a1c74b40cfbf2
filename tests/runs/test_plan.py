"""The plan: every input is made before it is used, and nothing is made twice."""

from __future__ import annotations

import pytest
from support.fake_stages import make_config

from xmlcli.errors import UsageError
from xmlcli.runs.plan import STAGES, find_call, plan
from xmlcli.stages.call import Call, RunId
from xmlcli.storage.workspace import Ref

RUN = RunId("demo")


def by_name(calls: list[Call]) -> dict[str, Call]:
    return {call.name: call for call in calls}


@pytest.mark.parametrize("cycles", [1, 2, 5])
@pytest.mark.parametrize("refresh", [True, False])
def test_every_input_is_an_earlier_calls_output_of_that_kind(cycles: int, refresh: bool) -> None:
    made: set[Ref] = set()
    for call in plan(make_config(cycles=cycles, final_refresh=refresh), RUN):
        for kind, ref in call.inputs.items():
            assert ref in made
            assert ref.kind == kind
        assert call.output not in made
        made.add(call.output)


@pytest.mark.parametrize("refresh", [True, False])
def test_only_the_last_cycle_is_measured_unless_all_are_to_be(refresh: bool) -> None:
    calls = plan(make_config(cycles=3, final_refresh=refresh, measure_every_cycle=False), RUN)
    assert [call.name for call in calls if call.stage == "evaluate"] == ["evaluate-3"]
    assert calls[-1].inputs["labels"] == Ref("labels", 5 if refresh else 3)


@pytest.mark.parametrize("cycles", [1, 2, 5])
@pytest.mark.parametrize("every", [True, False])
def test_each_cycle_has_its_calls_and_the_combination_is_fitted_before_all_documents_count(
    cycles: int, every: bool
) -> None:
    config = make_config(cycles=cycles, final_refresh=True, measure_every_cycle=every)
    names = [call.name for call in plan(config, RUN)]
    assert len(names) == len(set(names)) == 2 + 3 * cycles + 5 + (2 * (cycles - 1) if every else 0)
    last = ["train-clf", "embed-labels", "combine", "finish", "embed-labels", "evaluate"]
    assert [name.rpartition("-")[0] for name in names[-6:]] == last


@pytest.mark.parametrize("refresh", [True, False])
def test_what_is_measured_has_learnt_from_all_documents_and_takes_the_combination_over(refresh: bool) -> None:
    calls = by_name(plan(make_config(cycles=2, final_refresh=refresh), RUN))
    assert calls["combine-2"].inputs["clf"] == calls["finish-2"].inputs["clf"] == Ref("clf", 2)
    assert calls["finish-2"].output == calls["evaluate-2"].inputs["clf"] == Ref("clf", 3)
    assert calls["evaluate-2"].inputs["combination"] == calls["combine-2"].output
    if refresh:
        assert calls["embed-labels-4"].inputs["clf"] == Ref("clf", 3)


def test_the_first_cycle_carries_no_labels_over_and_the_next_do() -> None:
    calls = by_name(plan(make_config(cycles=2), RUN))
    assert "labels" not in calls["embed-labels-1"].inputs
    assert calls["embed-labels-2"].inputs["labels"] == Ref("labels", 1)
    assert calls["embed-labels-2"].inputs["clf"] == Ref("clf", 1)


@pytest.mark.parametrize(("refresh", "labels"), [(True, 4), (False, 2)])
def test_evaluation_searches_fresh_labels_only_with_the_refresh(refresh: bool, labels: int) -> None:
    calls = by_name(plan(make_config(cycles=2, final_refresh=refresh), RUN))
    assert calls["evaluate-2"].inputs["labels"] == Ref("labels", labels)
    assert ("embed-labels-3" in calls) == refresh


def test_only_evaluation_depends_on_nothing_but_is_never_depended_on() -> None:
    calls = plan(make_config(cycles=3), RUN)
    used = {ref for call in calls for ref in call.inputs.values()}
    assert {call.stage for call in calls if call.output not in used} == {"evaluate"}
    assert {call.stage for call in calls} == set(STAGES)


@pytest.mark.parametrize(
    ("run", "name", "options"),
    [
        (RunId("demo"), "demo", "--dataset demo"),
        (RunId("EURLex-4K"), "eurlex-4k", "--dataset EURLex-4K"),
        (RunId("demo", "authors"), "demo-authors", "--dataset demo --profile authors"),
        (RunId("demo", "default"), "demo", "--dataset demo --profile default"),
        (RunId("/data/My Set/Bibtex"), "bibtex", "--dataset '/data/My Set/Bibtex'"),
    ],
)
def test_a_run_is_named_after_its_dataset_and_profile(run: RunId, name: str, options: str) -> None:
    assert (run.name, run.options) == (name, options)


def test_a_call_names_itself_for_people_for_dvc_and_for_the_shell() -> None:
    call = find_call(plan(make_config(cycles=2), RunId("demo", "authors")), "train-clf", 2)
    assert call.name == "train-clf-2"
    assert call.dvc_name == "train-clf@demo-authors-2"
    assert call.command == "xmlcli train-clf --dataset demo --profile authors --cycle 2"


def test_a_cycle_beyond_the_plan_is_refused_with_what_there_is() -> None:
    with pytest.raises(UsageError, match="cycle 1 to 5"):
        find_call(plan(make_config(cycles=3), RUN), "embed-labels", 6)


def test_the_third_cycle_goes_on_from_the_second_but_for_what_words_proposed_in_the_first() -> None:
    calls = plan(make_config(cycles=3), RunId("demo"))
    inputs = {call.name: {kind: ref.cycle for kind, ref in call.inputs.items()} for call in calls if call.cycle == 3}
    assert inputs["embed-labels-3"] == {"prepared": None, "clf": 2, "labels": 2}
    assert inputs["shortlist-3"] == {"prepared": None, "clf": 2, "labels": 3, "shortlist": 1}
    assert inputs["train-clf-3"] == {"prepared": None, "clf": 2, "labels": 3, "shortlist": 3}
