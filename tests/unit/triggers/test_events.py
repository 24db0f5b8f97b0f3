"""What external events start, what they do not start, and why."""

import json
from itertools import pairwise
from typing import Any

import pytest
from flowforge.events import EventReceived, TriggerDecided
from flowforge.identity import derived_uuid, event_id
from triggers_spec import Spec, command, inbox, on_event, plain

from services.triggers.settings import PAYLOAD_INLINE_BYTES_MAX, RULE_OUT_ABOVE_COUNT, RUNS_PER_CAUSE_MAX


@pytest.fixture
def spec() -> Spec:
    return Spec()


async def test_a_matching_event_starts_a_run_with_its_data_as_input(spec: Spec):
    await spec.workflow("w", on_event())
    [received, triggered] = await spec.deliver([inbox("e1", data={"path": "a.csv"}, subject="s", tenant="blue")])
    [fact] = await spec.logged(EventReceived)
    assert (fact.id, fact.source, fact.subject, plain(fact.data)) == ("e1", "/shop", "s", {"path": "a.csv"})
    assert plain(fact.extensions["tenant"]) == "blue"
    [run] = await spec.runs()
    assert plain(run.input_data) == {"path": "a.csv"}
    assert (run.trigger.type, run.trigger.id, run.workflow_version, run.depth) == ("event", "t", 1, 1)
    assert (run.cause.id, run.cause.source, run.cause.type) == ("e1", "/shop", "file.arrived")
    assert run.cause.event_id == received.event_id == triggered.causation_id == triggered.correlation_id
    assert (received.stream_type, triggered.stream_type, triggered.version) == ("cause", "run", 1)
    [said] = spec.said
    assert said.subject == f"ns.runs.w.{run.run_id}.WorkflowTriggered"
    assert said.message_id == str(triggered.event_id)


async def test_ids_derive_from_the_cause(spec: Spec):
    await spec.workflow("w", on_event())
    [received, triggered] = await spec.deliver([inbox("e1")])
    at = received.recorded_at
    assert received.stream_id == derived_uuid(at, "cause", "/shop", "e1")
    assert received.event_id == event_id(received.stream_id, 1, at)
    assert triggered.stream_id == derived_uuid(at, "run", "w", "t", received.stream_id)


async def test_an_event_that_concerns_nobody_is_kept(spec: Spec):
    await spec.workflow("w", on_event(event_type="other"))
    [only] = await spec.deliver([inbox("e1")])
    assert only.type == "EventReceived"


@pytest.mark.parametrize(
    ("config", "matches"),
    [
        ({"event_type": "file.arrived"}, True),
        ({"event_type": "file.*"}, True),
        ({"event_type": "*"}, True),
        ({"event_type": "*.arrived"}, True),
        ({"event_type": "f*.arr*d"}, True),
        ({"event_type": "file"}, False),
        ({"event_type": "FILE.*"}, False),
        ({"event_type": "*", "source": "/shop"}, True),
        ({"event_type": "*", "source": "/sh*"}, True),
        ({"event_type": "*", "source": "/shop/*"}, False),
    ],
)
async def test_type_and_source_match_exactly_or_by_star(spec: Spec, config: dict[str, str], matches: bool):
    await spec.workflow("w", on_event(**config))
    await spec.event()
    assert len(await spec.runs()) == matches
    assert await spec.decisions() == []


async def test_each_trigger_decides_alone(spec: Spec):
    await spec.workflow("a", on_event("yes"), on_event("no", filter="event.data.n > 1"), on_event("off", enabled=False))
    await spec.workflow("b", on_event("broken", filter="event.data.missing > 1"), on_event("yes"))
    await spec.event(data={"n": 1})
    assert [(run.workflow_id, run.trigger.id) for run in await spec.runs()] == [("a", "yes"), ("b", "yes")]
    decided = {fact.trigger_id: fact for fact in await spec.logged(TriggerDecided)}
    assert (decided["no"].decision, decided["no"].reason) == (
        "not_matched", "event.data.n > 1 was false, event.data.n was 1",
    )  # fmt: skip
    assert (decided["off"].decision, decided["off"].reason) == ("suppressed", "disabled")
    assert (decided["broken"].decision, decided["broken"].detail) == ("failed", "event.data.missing")
    assert "event.data.missing > 1" in decided["broken"].reason


@pytest.mark.parametrize("status", ["draft", "archived"])
async def test_a_workflow_that_is_not_active_is_suppressed(spec: Spec, status: str):
    await spec.workflow("w", on_event(filter="event.data.n > 1"), status=status)
    await spec.event(data={"n": 0})
    assert await spec.decisions() == [("t", "suppressed", "workflow_inactive")]


async def test_an_archived_workflow_is_revived_by_an_update(spec: Spec):
    await spec.workflow("w", on_event())
    await spec.archived("w")
    await spec.event("e1")
    await spec.workflow("w", on_event())
    await spec.event("e2")
    assert [run.cause.id for run in await spec.runs()] == ["e2"]


async def test_input_templates_see_the_event_and_the_time(spec: Spec):
    template = {
        "n": "${event.data.n}", "all": "${events.size()}", "who": "${event.tenant}", "at": "${now}",
        "text": "n=${event.data.n}",
    }  # fmt: skip
    await spec.workflow("w", on_event(input=template))
    [received, _] = await spec.deliver([inbox("e1", data={"n": 7}, tenant="blue")])
    value = plain((await spec.runs())[0].input_data)
    assert value.pop("at").startswith(received.recorded_at.isoformat()[:19])
    assert value == {"n": 7, "all": 1, "who": "blue", "text": "n=7"}


@pytest.mark.parametrize("template", [None, "${event.data}"])
async def test_no_input_is_an_empty_object(spec: Spec, template: str | None):
    await spec.workflow("w", on_event() if template is None else on_event(input=template))
    await spec.event(data=None)
    assert plain((await spec.runs())[0].input_data) == {}


async def test_an_input_template_that_cannot_be_evaluated_fails(spec: Spec):
    await spec.workflow("w", on_event(input={"n": "${event.data.nothing.here}"}))
    await spec.event(data={})
    [fact] = await spec.logged(TriggerDecided)
    assert (fact.decision, fact.detail) == ("failed", "event.data.nothing")
    assert fact.reason.startswith("input: ")


async def test_an_input_that_breaks_the_schema_fails(spec: Spec):
    schema = {"type": "object", "properties": {"n": {"type": "array", "items": {"type": "integer"}}}}
    await spec.workflow("w", on_event(), input_schema=schema)
    await spec.event("e1", data={"n": [1, "x"]})
    await spec.event("e2", data={"n": [1]})
    [fact] = await spec.logged(TriggerDecided)
    assert (fact.decision, fact.detail) == ("failed", "$.input.n[1]")
    assert len(await spec.runs()) == 1


async def test_a_schema_that_wants_something_from_elsewhere_fails_and_fetches_nothing(spec: Spec):
    await spec.workflow("w", on_event(), input_schema={"$ref": "http://127.0.0.1:1/schema.json"})
    await spec.event()
    [(_, decision, reason)] = await spec.decisions()
    assert decision == "failed"
    assert "input_schema is not valid" in reason


async def test_a_default_of_the_wrong_type_fails(spec: Spec):
    await spec.workflow("w", on_event(), variables=[{"name": "n", "type": "number", "default_value": "x"}])
    await spec.event()
    assert [decision for _, decision, _ in await spec.decisions()] == ["failed"]


async def test_a_trigger_counts_its_versions_by_its_own_changes(spec: Spec):
    await spec.workflow("w", on_event())
    await spec.workflow("w", on_event(), tags=["new"])
    await spec.event("e1")
    await spec.workflow("w", on_event(filter="true"))
    await spec.event("e2")
    assert [(run.workflow_version, run.trigger_version) for run in await spec.runs()] == [(2, 1), (3, 3)]


async def test_a_definition_that_changes_while_it_is_decided_counts(spec: Spec):
    await spec.workflow("w", on_event())
    await spec.event("e0")
    await spec.workflow("w", on_event(enabled=False))
    await spec.event("e1")
    assert [run.cause.id for run in await spec.runs()] == ["e0"]
    assert await spec.decisions() == [("t", "suppressed", "disabled")]


async def test_a_new_owner_decides_on_what_the_log_holds(spec: Spec):
    await spec.workflow("w", on_event())
    await spec.event("e1")
    spec.restart()
    await spec.event("e1")
    await spec.event("e2")
    assert [run.cause.id for run in await spec.runs()] == ["e1", "e2"]


async def test_of_two_events_with_one_identity_the_first_counts_and_the_second_is_put_aside(spec: Spec):
    await spec.workflow("w", on_event())
    await spec.event("e1", data=1)
    await spec.turn([inbox("e1", data=2)])
    assert [plain(run.input_data) for run in await spec.runs()] == [1]
    [first] = await spec.log.read(0, types={"EventReceived"})
    [(message, reason, _)] = spec.aside
    assert json.loads(message.body)["data"] == 2
    for told in ("'e1'", "'/shop'", f"position {first.position}", str(first.event_id), "has started nothing"):
        assert told in reason


async def test_of_two_events_with_one_identity_that_come_together_the_second_is_put_aside_too(spec: Spec):
    await spec.workflow("w", on_event())
    await spec.turn([inbox("e1", data=1), inbox("e1", data=2), inbox("e1", data=1), inbox("e2", data=2)])
    assert sorted(plain(run.input_data) for run in await spec.runs()) == [1, 2]
    assert [json.loads(message.body)["data"] for message, *_ in spec.aside] == [2]


async def test_what_differs_is_put_aside_under_one_name_however_it_is_written(spec: Spec):
    await spec.workflow("w", on_event())
    await spec.event("e1", data=1)
    await spec.event("e1", data={"a": 1, "b": 2}, time="2026-01-01T00:00:00Z")
    await spec.event("e1", data={"b": 2, "a": 1}, time="2026-01-02T00:00:00Z")
    assert len({one.identity for one in spec.aside}) == 1
    await spec.event("e1", data={"b": 2, "a": 7})
    assert len({one.identity for one in spec.aside}) == 2


@pytest.mark.parametrize(
    "again", [{}, {"time": "2026-02-02T00:00:00Z"}, {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}]
)  # fmt: skip
async def test_the_same_event_said_again_is_not_put_aside(spec: Spec, again: dict[str, str]):
    await spec.workflow("w", on_event())
    await spec.event("e1", data={"a": 1, "b": 2}, time="2026-01-01T00:00:00Z")
    await spec.event("e1", data={"b": 2, "a": 1}, **again)
    assert spec.aside == []


@pytest.mark.parametrize(
    "other", [{"data": 2}, {"subject": "x"}, {"event_type": "file.gone"}, {"size": 7}, {"datacontenttype": "text/plain"}]
)  # fmt: skip
async def test_every_other_attribute_counts_as_content(spec: Spec, other: dict[str, Any]):
    other = dict(other)
    await spec.workflow("w", on_event())
    kind, data = other.pop("event_type", "file.arrived"), other.pop("data", 1)
    await spec.event("e1", kind, data, **other)
    await spec.event("e1", data=1)
    assert len({one.identity for one in spec.aside}) == 1


async def test_a_large_payload_is_kept_beside_the_log(spec: Spec):
    await spec.workflow("w", on_event(filter="event.data.text.startsWith('x')"))
    text = "x" * PAYLOAD_INLINE_BYTES_MAX
    await spec.event(data={"text": text})
    [fact] = await spec.logged(EventReceived)
    reference = plain(fact.data)
    assert plain((await spec.runs())[0].input_data) == reference
    blob = await spec.log.get_blob(reference["$blob"])
    assert blob is not None
    assert reference["size"] == len(blob) > PAYLOAD_INLINE_BYTES_MAX
    assert text.encode() in blob


async def test_a_small_event_may_give_a_large_input(spec: Spec):
    await spec.workflow("w", on_event(input="${event.data.parts.map(p, event.data.text)}"))
    await spec.event(data={"text": "y" * 2000, "parts": list(range(200))})
    reference = plain((await spec.runs())[0].input_data)
    assert await spec.log.get_blob(reference["$blob"]) is not None


async def test_one_cause_starts_a_thousand_runs_at_most(spec: Spec):
    await spec.workflow("w", *(on_event(f"t{n:04}") for n in range(RUNS_PER_CAUSE_MAX + 2)))
    await spec.event()
    assert len(await spec.runs()) == RUNS_PER_CAUSE_MAX
    assert await spec.decisions() == [
        (f"t{RUNS_PER_CAUSE_MAX + n:04}", "suppressed", "depth_exceeded") for n in range(2)
    ]


async def test_what_an_equality_rules_out_among_many_is_not_recorded(spec: Spec):
    count = RULE_OUT_ABOVE_COUNT + 1
    await spec.workflow("w", *(on_event(f"t{n}", filter=f'event.data.kind == "k{n}"') for n in range(count)))
    await spec.event(data={"kind": "k3"})
    assert [run.trigger.id for run in await spec.runs()] == ["t3"]
    assert await spec.decisions() == []


async def test_among_few_every_decision_is_recorded(spec: Spec):
    await spec.workflow("w", *(on_event(f"t{n}", filter=f'event.data.kind == "k{n}"') for n in range(3)))
    await spec.event(data={"kind": "k1"})
    assert [trigger_id for trigger_id, _, _ in await spec.decisions()] == ["t0", "t2"]


async def test_everything_of_a_cause_is_one_group(spec: Spec):
    await spec.workflow("w", on_event("a"), on_event("b", filter="false"), on_event("c"))
    logged = await spec.deliver([inbox("e1")])
    assert [event.type for event in logged] == [
        "EventReceived", "TriggerDecided", "WorkflowTriggered", "WorkflowTriggered",
    ]  # fmt: skip
    assert all(after.position == before.position + 1 for before, after in pairwise(logged))


async def test_one_event_by_two_ways_in_one_turn_is_one_cause(spec: Spec):
    await spec.workflow("w", on_event())
    events = [{"specversion": "1.0", "id": f"e{n}", "source": "/shop", "type": "file.arrived"} for n in range(3)]
    batch = [
        inbox("e0"),
        command("ReceiveEvents", command_id="c1", events=events),
        inbox("e1"),
        command("ReceiveEvents", command_id="c2", events=events[1:]),
    ]
    logged = await spec.deliver(batch)
    assert sorted(event.type for event in logged) == ["EventReceived"] * 3 + ["WorkflowTriggered"] * 3


async def test_a_trace_is_carried_on_when_it_is_well_formed(spec: Spec):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    [first] = await spec.deliver([inbox("e1", traceparent=trace)])
    [second] = await spec.deliver([inbox("e2", traceparent="\x00 or so")])
    assert (first.traceparent, second.traceparent) == (trace, None)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b'"\xff"', "utf-8"),
        (b"1e999", "out of range"),
        (b"[" * 201 + b"]" * 201, "deeper than"),
        (b"[" * 99999, "cannot be read"),
    ],
)
def test_a_message_that_nobody_could_read_is_refused(spec: Spec, data: bytes, told: str):
    message = inbox("e1")
    message.body = message.body.replace(b"null", data)
    with pytest.raises(ValueError, match=told):
        spec.service.key(message)


def test_brackets_in_texts_do_not_count_as_depth(spec: Spec):
    spec.service.key(inbox("e1", data="[" * 500 + '"' + "{" * 500))
    spec.service.key(inbox("e1", data=[[]] * 500))
