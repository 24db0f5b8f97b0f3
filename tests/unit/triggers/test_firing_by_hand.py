"""A trigger fired by hand: the run is its own, and whoever may not fire is told why."""

import pytest
from flowforge.events import RunRequested
from triggers_spec import Spec, on_event, plain


@pytest.fixture
def spec() -> Spec:
    return Spec()


async def fired(spec: Spec, trigger_id: str = "t", command_id: str = "c1", **more: object) -> dict[str, object]:
    return await spec.command("RequestRun", command_id=command_id, workflow_id="w", trigger_id=trigger_id, **more)


async def test_the_run_counts_under_the_trigger_whatever_its_type_and_filter(spec: Spec):
    await spec.workflow("w", on_event(filter="event.data.size > 10"), {"id": "by-hand", "type": "manual"})
    await spec.workflow("w", on_event(filter="event.data.size > 10"))
    answer = await fired(spec, input_data={"n": 1}, labels={"why": "test"})
    [run] = await spec.runs()
    assert (run.trigger.type, run.trigger.id, run.trigger_version, run.workflow_version) == ("event", "t", 1, 2)
    assert (plain(run.input_data), run.labels) == ({"n": 1}, {"why": "test"})
    assert run.cause.source == "/api/workflows/w/triggers/t/fire"
    [asked] = await spec.logged(RunRequested)
    assert asked.trigger_id == "t"
    assert answer["ok"]["run_id"] == str(run.run_id)  # type: ignore[index]


async def test_the_same_command_again_fires_once(spec: Spec):
    await spec.workflow("w", on_event())
    first = await fired(spec)
    await spec.workflow("w", on_event(enabled=False))
    spec.restart()
    assert await fired(spec) == first
    assert len(await spec.runs()) == 1


async def test_an_unknown_trigger_is_refused_and_one_just_added_is_not(spec: Spec):
    await spec.workflow("w", on_event())
    assert (await fired(spec, "other"))["refused"]["status"] == 404  # type: ignore[index]
    await spec.workflow("w", on_event(), on_event("other"))
    assert "ok" in await fired(spec, "other", "c2")


async def test_a_disabled_trigger_and_a_draft_are_refused_and_nothing_is_recorded(spec: Spec):
    await spec.workflow("w", on_event(enabled=False))
    refused = (await fired(spec))["refused"]
    assert (refused["status"], "disabled" in refused["detail"]) == (409, True)  # type: ignore[index]
    await spec.workflow("w", on_event(), status="draft")
    assert (await fired(spec, command_id="c2"))["refused"]["status"] == 409  # type: ignore[index]
    assert await spec.logged(RunRequested) == []
