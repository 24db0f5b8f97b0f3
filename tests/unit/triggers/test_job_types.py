"""Job-type triggers: once per job, whoever tells of it; never in a circle; one workflow's failure is its own."""

from typing import Any

import msgspec
import pytest
from flowforge.events import TriggerDecided
from job_types_spec import begun, data, given, handed_out, on_job, report, started, told
from triggers_spec import Spec, on_event, plain

from services.triggers.settings import DEPTH_MAX, RUNS_PER_CAUSE_MAX

# --- what starts ------------------------------------------------------------------------------------------------------


async def test_a_job_that_an_external_system_reports_starts_the_workflow_with_its_data():
    spec = await given(evaluate=on_job())
    await spec.deliver([report()])
    [run] = await spec.runs()
    assert (run.workflow_id, run.trigger.type, run.trigger.id) == ("evaluate", "TRAIN", "train")
    assert (run.cause.type, run.cause.id, run.cause.source) == ("JobCompleted", "e1", "/trainer")
    assert plain(run.input_data) == {**data(), "source": "/trainer"}
    assert (run.depth, run.chain, run.consumed) == (1, None, [run.cause.event_id])


async def test_a_job_of_a_run_starts_the_workflow_with_its_data_and_its_chain():
    spec = await given(train={"experiment_id": "churn"}, evaluate=on_job())
    first, job_id = await begun(spec, "train")
    await spec.deliver([await told(spec, first)])
    [_, run] = await spec.runs()
    assert (run.workflow_id, run.trigger.type, run.trigger.id) == ("evaluate", "TRAIN", "train")
    assert (run.cause.type, run.cause.id, run.depth) == ("JobEnded", str(job_id), 2)
    assert run.chain is not None
    assert (run.chain.first_event_id, run.chain.workflow_ids) == (first.cause.event_id, ["train"])
    assert plain(run.input_data) == {
        "job_id": str(job_id),
        "job_type": "TRAIN",
        "experiment_id": "churn",
        "status": "COMPLETE",
        "output": {"f1": 0.8},
        "source": f"/ns/run/{first.run_id}",
        "run_id": str(first.run_id),
        "workflow_id": "train",
        "node_id": "fit",
        "job_name": "Fit the model",
    }


async def test_every_workflow_of_the_experiment_with_the_type_enabled_starts():
    spec = await given(
        b=on_job(),
        a=on_job(),
        other_type=on_job("EVAL"),
        elsewhere={**on_job(), "experiment_id": "fraud"},
        nowhere={**on_job(), "experiment_id": None},
        off={"experiment_id": "churn", "trigger_configs": [{"trigger_type": "TRAIN", "is_enabled": False}]},
    )
    await spec.deliver([report()])
    assert await started(spec) == ["a", "b"]
    assert await spec.decisions() == []


async def test_across_experiments_takes_jobs_of_any_and_of_none():
    spec = await given(
        any=on_job(across_experiments=True), nowhere={**on_job(across_experiments=True), "experiment_id": None}
    )
    await spec.deliver([report("e1", experiment_id="fraud"), report("e2", job_id="j2", experiment_id=None)])
    assert sorted(await started(spec)) == ["any", "any", "nowhere", "nowhere"]


async def test_a_large_output_is_in_the_input_whole():
    spec = await given(train={}, evaluate=on_job())
    run, _ = await begun(spec, "train")
    name = await spec.log.put_blob(b'{"weights":[1,2,3]}')
    output = msgspec.Raw(b'{"$blob":"%s","size":19}' % name.encode())
    await spec.deliver([await told(spec, run, output=output)])
    assert plain((await spec.runs())[-1].input_data)["output"] == {"weights": [1, 2, 3]}


async def test_the_event_is_also_an_event_for_event_triggers():
    spec = Spec()
    await spec.workflow("w", on_event("by-event", "JobCompleted"), **on_job())
    await spec.deliver([report()])
    assert [run.trigger.id for run in await spec.runs()] == ["by-event", "train"]


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "RUNNING"}, {"status": "complete"}, {"status": ...}, {"status": True}, {"job_id": ...},
        {"job_id": ""}, {"job_id": 7}, {"job_type": ...}, {"job_type": "FINE_TUNE"}, {"job_type": "train"},
        {"experiment_id": 5}, {"job_name": 5},
    ],
)  # fmt: skip
async def test_data_of_another_shape_is_no_job_and_only_an_event(changes: dict[str, Any]):
    spec = Spec()
    await spec.workflow("w", on_event("by-event", "JobCompleted"), **on_job(across_experiments=True))
    await spec.deliver([report(**changes)])
    assert [run.trigger.id for run in await spec.runs()] == ["by-event"]
    assert await spec.decisions() == []


@pytest.mark.parametrize("given_data", [None, 5, [], "TRAIN", {}])
async def test_an_event_of_that_type_with_any_data_is_taken(given_data: Any):
    spec = await given(w=on_job(across_experiments=True))
    await spec.event("e1", "JobCompleted", given_data)
    assert await spec.runs() == []


async def test_an_event_of_another_type_with_such_data_is_no_job():
    spec = await given(w=on_job())
    await spec.event("e1", "TrainingCompleted", data())
    assert await spec.runs() == []


async def test_in_force_from_the_save_on_and_not_after_it_is_off_again():
    spec = await given(w=on_job())
    await spec.deliver([report("e1", job_id="j1")])
    await spec.workflow("w", experiment_id="churn")
    await spec.deliver([report("e2", job_id="j2")])
    await spec.workflow("w", **on_job())
    spec.restart()
    await spec.deliver([report("e3", job_id="j3")])
    assert [run.trigger_version for run in await spec.runs()] == [1, 3]
    await spec.archived("w")
    await spec.deliver([report("e4", job_id="j4")])
    assert await spec.decisions() == [("train", "suppressed", "workflow_inactive")]


async def test_a_change_of_something_else_leaves_the_triggers_version():
    spec = await given(w=on_job())
    await spec.workflow("w", **on_job(), tags=["new"])
    await spec.deliver([report()])
    [run] = await spec.runs()
    assert (run.workflow_version, run.trigger_version) == (2, 1)


@pytest.mark.parametrize("stored", [[{"trigger_type": "OLD", "is_enabled": True}, 5], {"TRAIN": True}, "true"])
async def test_what_an_older_version_stored_hinders_no_other_trigger(stored: Any):
    spec = Spec()
    await spec.workflow("w", on_event("by-event", "JobCompleted"), experiment_id="churn", trigger_configs=stored)
    await spec.deliver([report()])
    assert [run.trigger.id for run in await spec.runs()] == ["by-event"]


# --- options ----------------------------------------------------------------------------------------------------------


async def test_a_failed_job_starts_those_that_want_it_and_is_a_decision_of_the_others():
    spec = await given(a=on_job(), b=on_job(on_failure=True))
    await spec.deliver([report(status="FAILED", output=None)])
    assert await started(spec) == ["b"]
    assert await spec.decisions() == [("train", "not_matched", "the job's status is FAILED, and on_failure is off")]


async def test_a_job_that_failed_and_was_completed_later_starts_each_workflow_once():
    spec = await given(a=on_job(), b=on_job(on_failure=True))
    await spec.deliver([report("e1", status="FAILED")])
    await spec.deliver([report("e2")])
    assert sorted(await started(spec)) == ["a", "b"]
    assert (await spec.decisions())[-1] == ("train", "suppressed", "duplicate")


@pytest.mark.parametrize(
    ("pattern", "fires"),
    [
        ("Fit the model", True),
        ("fit", True),
        ("Fit*", True),
        ("*model", True),
        ("f*t", True),
        ("fi", False),
        ("*x*", False),
    ],
)
async def test_a_name_pattern_takes_the_nodes_name_or_its_id(pattern: str, fires: bool):
    spec = await given(train={}, w=on_job(job_name=pattern))
    run, _ = await begun(spec, "train")
    await spec.deliver([await told(spec, run)])
    assert await started(spec) == (["w"] if fires else [])
    if not fires:
        expected = f"the job is 'Fit the model' or 'fit', the trigger takes '{pattern}'"
        assert await spec.decisions() == [("train", "not_matched", expected)]


async def test_a_name_pattern_takes_the_name_that_an_external_system_gives():
    spec = await given(w=on_job(job_name="nightly-*"))
    await spec.deliver([report("e1", job_name="nightly-7"), report("e2", job_id="j2")])
    assert await started(spec) == ["w"]
    assert await spec.decisions() == [
        ("train", "not_matched", "the job is without a name, the trigger takes 'nightly-*'")
    ]


# --- no circles -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("external", [True, False])
async def test_a_workflow_ignores_the_jobs_of_its_own_runs_whoever_tells(external: bool):
    spec = await given(w=on_job(), other=on_job())
    run, job_id = await begun(spec, "w")
    await spec.deliver([report(job_id=str(job_id)) if external else await told(spec, run)])
    assert await started(spec) == ["other"]
    [decided] = await spec.logged(TriggerDecided)
    assert (decided.workflow_id, decided.decision, decided.reason) == ("w", "suppressed", "self")
    assert decided.detail == f"the job is of a run of this workflow: {run.run_id}"


async def test_a_workflow_ignores_the_jobs_of_runs_that_it_led_to():
    spec = await given(a=on_job("EVAL"), b=on_job())
    first, _ = await begun(spec, "a")
    await spec.deliver([await told(spec, first)])
    [second] = [run for run in await spec.runs() if run.workflow_id == "b"]
    await handed_out(spec, second, "judge", "EVAL")
    await spec.deliver([await told(spec, second, node_id="judge", job_type="EVAL")])
    assert await started(spec) == ["b"]
    [decided] = await spec.logged(TriggerDecided)
    assert (decided.workflow_id, decided.reason) == ("a", "self")
    assert decided.detail == f"the job is of a run that this workflow led to: {second.run_id}"


async def test_a_chain_of_workflows_is_cut_at_its_depth():
    spec = Spec()
    for number in range(DEPTH_MAX + 1):
        await spec.workflow(f"w{number:02}", **on_job(job_name=f"n{number:02}"))
    await spec.workflow("first")
    run, _ = await begun(spec, "first", "n00")
    for number in range(DEPTH_MAX):
        await spec.deliver([await told(spec, run, node_id=f"n{number:02}", job_name="")])
        run = (await spec.runs())[-1]
        await handed_out(spec, run, f"n{number + 1:02}")
    assert len(await spec.runs()) == DEPTH_MAX
    assert ("train", "suppressed", "depth_exceeded") in await spec.decisions()


async def test_a_job_starts_at_most_a_thousand_runs():
    spec = Spec()
    spec.tells_definitions = False
    for number in range(RUNS_PER_CAUSE_MAX + 2):
        await spec.workflow(f"w{number:04}", **on_job())
    await spec.deliver([report()])
    assert len(await spec.runs()) == RUNS_PER_CAUSE_MAX
    assert await spec.decisions() == [("train", "suppressed", "depth_exceeded")] * 2


async def test_one_first_cause_leads_to_at_most_a_thousand_runs_in_all():
    spec = Spec()
    spec.tells_definitions = False
    await spec.workflow("train")
    for number in range(RUNS_PER_CAUSE_MAX):
        await spec.workflow(f"w{number:04}", **on_job())
    run, _ = await begun(spec, "train")
    await spec.deliver([await told(spec, run)])
    assert len(await started(spec)) == RUNS_PER_CAUSE_MAX - 1
    assert await spec.decisions() == [("train", "suppressed", "depth_exceeded")]


# --- each for itself --------------------------------------------------------------------------------------------------


async def test_one_that_cannot_start_keeps_no_other_from_starting():
    wants = {"type": "object", "required": ["model"]}
    spec = await given(
        a={**on_job(), "input_schema": wants}, b={**on_job(), "status": "draft"}, c=on_job(), d=on_job(on_failure=True)
    )
    await spec.deliver([report()])
    assert await started(spec) == ["c", "d"]
    [a, b] = await spec.logged(TriggerDecided)
    assert (a.workflow_id, a.decision, "model" in a.reason) == ("a", "failed", True)
    assert (b.workflow_id, b.decision, b.reason) == ("b", "suppressed", "workflow_inactive")


async def test_a_workflow_that_could_not_start_may_start_for_a_later_report_of_the_job():
    spec = await given(a={**on_job(), "input_schema": {"required": ["model"]}})
    await spec.deliver([report("e1")])
    await spec.workflow("a", **on_job())
    await spec.deliver([report("e2")])
    assert [run.cause.id for run in await spec.runs()] == ["e2"]


async def test_the_trigger_is_fired_by_hand_while_it_is_enabled():
    spec = await given(w=on_job())
    answer = await spec.command("RequestRun", command_id="c1", workflow_id="w", trigger_id="train", input_data={"a": 1})
    assert "run_id" in answer["ok"]
    [run] = await spec.runs()
    assert (run.trigger.type, run.trigger.id) == ("TRAIN", "train")
    answer = await spec.command("RequestRun", command_id="c2", workflow_id="w", trigger_id="eval", input_data={})
    assert (answer["refused"]["status"], "disabled" in answer["refused"]["detail"]) == (409, True)


async def test_why_a_job_was_not_put_before_a_trigger_is_computed_when_asked():
    spec = await given(off={"experiment_id": "churn"}, elsewhere={**on_job(), "experiment_id": "fraud"}, on=on_job())
    await spec.deliver([report()])
    [position] = [stored.position for stored in await spec.log.read(0, 100, types={"EventReceived"})]

    async def why(workflow_id: str, trigger_id: str = "train") -> Any:
        fields = {"workflow_id": workflow_id, "trigger_id": trigger_id, "position": position}
        return (await spec.command("ExplainDecision", command_id=f"{workflow_id} {trigger_id}", **fields))["ok"][
            "decision"
        ]

    off, elsewhere = await why("off"), await why("elsewhere")
    assert (off["decision"], off["reason"]) == ("suppressed", "disabled")
    assert elsewhere["decision"] == "not_matched"
    assert elsewhere["reason"] == "the job is of experiment 'churn', the workflow of experiment 'fraud'"
    assert await why("on") is None
    assert await why("off", "eval") is None


async def test_a_job_concerns_only_the_workflows_that_wait_for_it():
    spec = await given(train={})
    run, _ = await begun(spec, "train")
    assert await spec.deliver([await told(spec, run)]) == []
