"""Deliveries to webhooks, once they are verified: each concerns one trigger and is decided once."""

import asyncio
from typing import Any

from flowforge.events import EventReceived, WebhookReceived, WebhooksRejected
from triggers_spec import Spec, command, inbox, on_event, plain

from services.triggers.settings import PAYLOAD_INLINE_BYTES_MAX

SOURCE = "/ns/webhooks/w/hook"


def hook(trigger_id: str = "hook", secret: str = "a", **more: Any) -> dict[str, Any]:
    config: dict[str, Any] = {"secret_refs": [{"id": secret * 32}]}
    config |= {name: more.pop(name) for name in ("filter", "tolerance_ms") if name in more}
    return {"id": trigger_id, "type": "webhook", "config": config, **more}


async def given(*triggers: dict[str, Any], **fields: Any) -> Spec:
    spec = Spec()
    await spec.workflow("w", *triggers, **fields)
    return spec


async def delivery(spec: Spec, name: str = "d1", data: Any = None, to: str = "hook", **more: Any) -> dict[str, Any]:
    return await spec.command(
        "ReceiveWebhook",
        command_id=f"{to} {name} {len(spec.answers)}",
        workflow_id="w",
        trigger_id=to,
        delivery_id=name,
        data=data,
        **more,
    )


async def test_a_delivery_is_logged_and_starts_a_run():
    spec = await given(hook(filter="event.data.n > 1 && event.subject == 'push'"))
    answer = await delivery(spec, data={"n": 2}, subject="push")
    [fact] = await spec.logged(WebhookReceived)
    assert (fact.workflow_id, fact.trigger_id, fact.id, fact.source) == ("w", "hook", "d1", SOURCE)
    [run] = await spec.runs()
    assert (run.trigger.type, run.trigger.id, plain(run.input_data)) == ("webhook", "hook", {"n": 2})
    assert (run.cause.type, run.cause.id, run.cause.source) == ("WebhookReceived", "d1", SOURCE)
    [_, received, _] = await spec.log.read(0)
    assert answer["ok"] == {
        "id": "d1", "source": SOURCE, "event_id": str(received.event_id), "position": received.position,
        "duplicate": False, "differs": False,
    }  # fmt: skip


async def test_the_same_delivery_again_is_answered_as_the_first_though_much_happened():
    spec = await given(hook())
    first = await delivery(spec, data={"n": 1})
    spec.restart()
    again = await delivery(spec, data={"n": 1})
    assert again["ok"] == {**first["ok"], "duplicate": True}
    other = await delivery(spec, data={"n": 2})
    assert other["ok"] == {**first["ok"], "duplicate": True, "differs": True}
    await spec.workflow("w", hook(enabled=False))
    assert (await delivery(spec, data={"n": 1}))["ok"] == again["ok"]
    assert len(await spec.runs()) == 1
    assert await spec.decisions() == []


async def test_each_trigger_looks_at_its_own_deliveries_only():
    spec = await given(hook(), hook("second"), on_event("any", "*"))
    await delivery(spec)
    await delivery(spec, to="second")
    assert [run.trigger.id for run in await spec.runs()] == ["hook", "second"]
    assert await spec.decisions() == []


async def test_what_is_published_never_passes_for_a_delivery():
    spec = await given(hook(), on_event("any", "*"))
    await spec.deliver([inbox("d1", "WebhookReceived", {"n": 1}, source=SOURCE)])
    [run] = await spec.runs()
    assert run.trigger.id == "any"
    assert (await delivery(spec))["ok"]["duplicate"] is False
    await spec.deliver([inbox("d2", "WebhookReceived", {"n": 1}, source=SOURCE)])
    assert [run.trigger.id for run in await spec.runs()] == ["any", "hook", "any"]
    assert len(await spec.logged(EventReceived)) == 2


async def test_a_disabled_trigger_and_an_archived_workflow_record_why_they_start_nothing():
    spec = await given(hook(enabled=False))
    assert "ok" in await delivery(spec, "d1")
    await spec.workflow("w", hook())
    await spec.archived("w")
    assert "ok" in await delivery(spec, "d2")
    assert await spec.decisions() == [
        ("hook", "suppressed", "disabled"), ("hook", "suppressed", "workflow_inactive"),
    ]  # fmt: skip


async def test_what_is_no_webhook_takes_no_delivery():
    spec = await given(hook(), on_event("any"))
    for to in ("nothing", "any"):
        assert (await delivery(spec, to=to))["refused"]["status"] == 404
    assert await spec.logged(WebhookReceived) == []


async def test_a_trigger_just_saved_is_there_though_nobody_told():
    spec = await given(hook())
    await delivery(spec)
    spec.tells_definitions = False
    await spec.workflow("w", hook(), hook("new"))
    assert "ok" in await delivery(spec, to="new")
    assert [run.trigger.id for run in await spec.runs()] == ["hook", "new"]


async def test_a_filter_that_fails_names_the_value_that_is_missing():
    spec = await given(hook(filter="event.data.n > 1"), hook("second", input={"n": "${event.data.n}"}))
    await delivery(spec, data={})
    await delivery(spec, data={}, to="second")
    assert [(trigger, decision) for trigger, decision, _ in await spec.decisions()] == [
        ("hook", "failed"), ("second", "failed"),
    ]  # fmt: skip


async def test_large_data_is_kept_beside_the_log_and_is_the_runs_input():
    spec = await given(hook(filter="size(event.data) > 10"))
    await delivery(spec, data="x" * PAYLOAD_INLINE_BYTES_MAX)
    [fact] = await spec.logged(WebhookReceived)
    [run] = await spec.runs()
    assert "$blob" in plain(fact.data)
    assert plain(run.input_data) == plain(fact.data)


async def test_deliveries_wait_as_events_do_and_a_new_secret_does_not_disturb_them():
    spec = await given(hook(debounce_ms=1000, delay_ms=1000, limit={"max_fires": 1, "per_ms": 60_000}))
    await delivery(spec, "d1", {"n": 1})
    await spec.time_passes(500)
    await delivery(spec, "d2", {"n": 2})
    await spec.workflow(
        "w", hook(secret="b", debounce_ms=1000, delay_ms=1000, limit={"max_fires": 1, "per_ms": 60_000})
    )
    spec.restart()
    await spec.time_passes(2100)
    [run] = await spec.runs()
    assert (plain(run.input_data), run.cause.id) == ({"n": 2}, "d2")
    await delivery(spec, "d3", {"n": 3})
    await spec.time_passes(2100)
    assert [decision for _, *decision in await spec.decisions()] == [
        ["held", "debounce"], ["suppressed", "debounced"], ["held", "debounce"], ["held", "delay"],
        ["held", "debounce"], ["held", "delay"], ["suppressed", "limited"],
    ]  # fmt: skip


async def test_rejections_are_a_number_and_nothing_else():
    spec = await given(hook())
    reasons = {"signature": 3, "timestamp": 1}
    count = {"command_id": "c1", "workflow_id": "w", "trigger_id": "hook", "reasons": reasons}
    first = await spec.command("CountRejections", **count)
    spec.restart()
    assert await spec.command("CountRejections", **count) == first
    [fact] = await spec.logged(WebhooksRejected)
    assert fact.reasons == reasons
    assert first["ok"] == {"position": (await spec.log.head()).position}


async def test_a_changed_webhook_is_compared_with_the_deliveries_that_came():
    spec = await given(hook(filter="event.data.n > 2"), on_event("any", "*"))
    for n in range(1, 5):
        await delivery(spec, f"d{n}", {"n": n})
    await spec.event("e1", data={"n": 9})
    told: list[dict[str, Any]] = []

    async def reply(_message: Any, body: bytes) -> None:
        told.append(plain(body))  # type: ignore[arg-type]

    spec.service.questions.reply = reply
    trigger = hook(filter="event.data.n > 1")
    await spec.turn([command("RehearseTrigger", command_id="r", trigger=trigger, workflow_id="w", limit=10)])
    while not told:
        await asyncio.sleep(0)
    answer = told[0]["ok"]
    assert (answer["evaluated"], answer["would_fire"], answer["did_fire"]) == (4, 3, 2)
    assert [(item["cause"]["id"], item["decision"], item["did_fire"]) for item in answer["items"]] == [
        ("d4", "fired", True), ("d3", "fired", True), ("d2", "fired", False), ("d1", "not_matched", False),
    ]  # fmt: skip
