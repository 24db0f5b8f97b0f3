"""A job starts a workflow once, whoever tells of it, and however often and late."""

import pytest
from flowforge.events import TriggerDecided
from flowforge.identity import new_uuid
from job_types_spec import JOB, begun, data, given, on_job, report, started, told
from triggers_spec import START, command, plain

from infra.bus import LoadAgain


async def test_the_same_event_again_is_the_same_cause_and_nothing_more():
    spec = await given(w=on_job())
    await spec.deliver([report()])
    spec.restart()
    assert await spec.deliver([report()]) == []


async def test_two_events_about_one_job_start_it_once_and_the_second_is_a_decision():
    spec = await given(w=on_job())
    await spec.deliver([report("e1")])
    spec.restart()
    await spec.deliver([report("e2", source="/another")])
    assert len(await spec.runs()) == 1
    [decided] = await spec.logged(TriggerDecided)
    assert (decided.decision, decided.reason, decided.cause.id) == ("suppressed", "duplicate", "e2")
    assert decided.detail == f"the job {JOB} has started this workflow already"


async def test_a_uuid_is_the_same_job_in_whatever_case():
    spec = await given(w=on_job())
    job_id = str(new_uuid(START))
    await spec.deliver([report("e1", job_id=job_id)])
    await spec.deliver([report("e2", job_id=job_id.upper())])
    assert len(await spec.runs()) == 1


async def test_another_name_means_the_same_job_only_within_its_source():
    spec = await given(w=on_job())
    await spec.deliver([report("e1", job_id="42")])
    await spec.deliver([report("e2", job_id="42")])
    await spec.deliver([report("e3", "/another", job_id="42")])
    assert [run.cause.id for run in await spec.runs()] == ["e1", "e3"]


async def test_two_events_about_one_job_in_one_turn_and_in_one_command_start_it_once():
    spec = await given(w=on_job())
    await spec.deliver([report("e1"), report("e2")])
    events = [
        {"specversion": "1.0", "id": name, "source": "/s", "type": "JobCompleted", "data": data(job_id=JOB[::-1][:8])}
        for name in ("c1", "c2")
    ]
    await spec.deliver([command("ReceiveEvents", command_id="c", events=events)])
    assert [run.cause.id for run in await spec.runs()] == ["e1", "c1"]
    assert await spec.decisions() == [("train", "suppressed", "duplicate")] * 2


@pytest.mark.parametrize("external_first", [True, False])
async def test_a_job_told_by_its_run_and_by_an_external_system_starts_once(external_first: bool):
    spec = await given(train={}, w=on_job())
    run, job_id = await begun(spec, "train")
    both = [await told(spec, run), report("e1", job_id=str(job_id))]
    for message in both[::-1] if external_first else both:
        await spec.deliver([message])
        spec.restart()
    assert await started(spec) == ["w"]
    assert await spec.decisions() == [("train", "suppressed", "duplicate")]
    if external_first:  # the report names the run, so what follows from it belongs to the same chain
        assert (await spec.runs())[-1].chain is not None
        assert plain((await spec.runs())[-1].input_data)["run_id"] == str(run.run_id)


async def test_both_in_one_turn_start_it_once():
    spec = await given(train={}, w=on_job(), v=on_job())
    run, job_id = await begun(spec, "train")
    await spec.deliver([await told(spec, run), report("e1", job_id=str(job_id))])
    assert sorted(await started(spec)) == ["v", "w"]
    assert await spec.decisions() == [("train", "suppressed", "duplicate")] * 2


async def test_what_a_run_tells_is_decided_once_after_a_restart_too():
    spec = await given(train={}, a=on_job(), b=on_job(job_name="nothing"))
    run, _ = await begun(spec, "train")
    message = await told(spec, run)
    assert (
        len(await spec.deliver([message])) == 3
    )  # the decision of one, the run of the other, and one more in the chain
    spec.restart()
    assert await spec.deliver([message]) == []
    await spec.workflow("c", **on_job())
    spec.restart()
    assert await spec.deliver([message]) == []


async def test_a_job_is_not_taken_for_nobodys_because_another_was_loaded_after_it():
    spec = await given(train={}, a=on_job())
    messages = [await told(spec, (await begun(spec, "train"))[0]) for _ in range(2)]
    first, second = map(spec.service.key, messages)
    await spec.service.load([first, second], messages)
    await spec.service.load([first], messages[:1])  # as the shell does where deciding the first one fails
    with pytest.raises(LoadAgain, match="is not in memory"):
        spec.service.decide(second, messages[1:])
    await spec.deliver(messages)
    assert await started(spec) == ["a", "a"]


async def test_what_was_enabled_while_a_job_was_decided_waits_for_the_next_and_nothing_starts_twice():
    spec = await given(train={}, a=on_job())
    run, _ = await begun(spec, "train")
    message = await told(spec, run)
    spec.before_append = lambda: spec.workflow("b", **on_job())
    spec.tells_definitions = False
    await spec.deliver([message])
    await spec.deliver([message])
    assert await started(spec) == ["a"]
    run, _ = await begun(spec, "train")
    await spec.deliver([await told(spec, run)])
    assert sorted(await started(spec)) == ["a", "a", "b"]


async def test_a_job_from_before_its_type_was_switched_on_starts_nothing_however_often_it_is_heard():
    spec = await given(train={})
    run, _ = await begun(spec, "train")
    message = await told(spec, run)
    await spec.deliver([message])
    await spec.workflow("a", **on_job())
    await spec.deliver([message])
    spec.restart()
    await spec.deliver([message])
    assert await started(spec) == []


async def test_the_first_report_may_have_come_while_nothing_waited_for_it():
    spec = await given(w={"experiment_id": "churn"})
    await spec.deliver([report("e1")])
    await spec.workflow("w", **on_job())
    await spec.deliver([report("e2")])
    assert [run.cause.id for run in await spec.runs()] == ["e2"]
