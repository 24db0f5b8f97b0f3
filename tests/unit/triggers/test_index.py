"""The index answers what looking at every trigger would answer, whatever was saved, changed and archived before."""

import json
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from flowforge.envelope import decode_external
from flowforge.events import WorkflowArchived, WorkflowCreated, WorkflowUpdated
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.expressions import Scope, compile_lazily, equalities, index_key
from services.triggers.cause import ReceivedCause
from services.triggers.index import Index
from services.triggers.patterns import Pattern
from services.triggers.settings import RULE_OUT_ABOVE_COUNT, TOLD_APART_ABOVE_COUNT

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FILTERS = [
    None,
    'event.data.kind == "csv"',
    '"json" == event.data.kind && event.data.size > 2',
    "event.data.size == 1",
    "event.data.size == 2 && event.data.urgent == true",
    'event.subject == "s" && event.data.kind == "csv"',
    "event.data.deep.er == -1",
    'event.data.kind == "csv" || event.data.size == 1',
    "event.data.size > 1",
    "nonsense ((",
]
types = st.sampled_from(["a.b", "a.c", "a.*", "*", "*.b"])
sources = st.sampled_from(["/s", "/t", "/*", "*"])
triggers = st.tuples(types, sources, st.sampled_from(FILTERS))
workflows = st.lists(triggers, max_size=14)
saves = st.lists(st.tuples(st.sampled_from("uvw"), st.none() | workflows), max_size=8)
data = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.sampled_from(["csv", "json", "", 1]),
        "size": st.sampled_from([0, 1, 1.0, 2, 3, True, None, "1"]),
        "urgent": st.sampled_from([True, False, 1]),
        "deep": st.sampled_from([{"er": -1}, {"er": 1}, {}, [], None]),
    },
)


def event(event_type: str, source: str, value: Any, subject: str | None) -> ReceivedCause:
    body = {"specversion": "1.0", "id": "e", "source": source, "type": event_type, "data": value}
    text = json.dumps(body if subject is None else body | {"subject": subject}).encode()
    return ReceivedCause(decode_external(text), text, NOW)


events = st.builds(
    event, st.sampled_from(["a.b", "a.c", "z"]), st.sampled_from(["/s", "/t"]), data, st.none() | st.just("s")
)


def applied(
    history: list[tuple[str, list[tuple[str, str, str | None]] | None]],
    after_each: Callable[[Index], object] = lambda _: None,
) -> Index:
    index = Index()
    versions: dict[str, int] = {}
    for position, (workflow_id, wanted) in enumerate(history, 1):
        after_each(index)
        version = versions.get(workflow_id, 0)
        if wanted is None:
            if version:
                index.apply(workflow_id, WorkflowArchived(workflow_id=workflow_id), version + 1, position)
            continue
        versions[workflow_id] = version + 1
        document = {
            "id": workflow_id,
            "triggers": [
                {"id": f"t{n}", "type": "event", "config": {"event_type": kind, "source": source, "filter": condition}}
                for n, (kind, source, condition) in enumerate(wanted)
            ],
        }
        kind = WorkflowUpdated if version else WorkflowCreated
        definition = msgspec.Raw(json.dumps(document).encode())
        fact = kind(workflow_id=workflow_id, workflow_version=version + 1, definition=definition)
        index.apply(workflow_id, fact, version + 1, position)
    return index


def fits(pattern: str, text: str) -> bool:
    return Pattern(pattern).matches(text) if "*" in pattern else pattern == text


def by_looking_at_all(index: Index, cause: ReceivedCause) -> list[tuple[str, str]]:
    """The oracle: every trigger of every workflow, one by one."""
    everything = [
        (workflow.workflow_id, trigger) for workflow in index.workflows.values() for trigger in workflow.event_triggers
    ]
    found: list[tuple[str, str]] = []
    for workflow_id, trigger in everything:
        config = trigger.config
        if not fits(config.event_type, cause.fact.type) or not fits(config.source, cause.fact.source):
            continue
        bucket_count = sum(
            other.config.event_type == config.event_type and other.config.source == config.source
            for _, other in everything
        )
        if bucket_count <= RULE_OUT_ABOVE_COUNT or meets(config.filter, cause):
            found.append((workflow_id, trigger.id))
    return sorted(found)


def meets(condition: str | None, cause: ReceivedCause) -> bool:
    if condition is None or condition == "nonsense ((":
        return True
    for path, wanted in equalities(compile_lazily(condition, Scope.FILTER)).items():
        value: Any = cause.bindings
        for step in path:
            if not isinstance(value, dict) or step not in value:
                return False
            value = value[step]
        if index_key(value) != index_key(wanted):
            return False
    return True


@settings(max_examples=120, deadline=None)
@given(saves, st.lists(events, min_size=1, max_size=5))
def test_the_index_finds_what_looking_at_all_finds(
    history: list[tuple[str, list[tuple[str, str, str | None]] | None]], causes: list[ReceivedCause]
):
    def looked_up(index: Index) -> None:
        for cause in causes:
            found = index.candidates(cause)
            assert [rule.key for rule in found] == by_looking_at_all(index, cause)
            for rule in found:  # as they are now, not as they were when they were found before
                workflow = index.workflows[rule.key[0]]
                assert rule.workflow is workflow
                assert rule.trigger == workflow.newest.trigger(rule.key[1])

    looked_up(applied(history, looked_up))


AT_ONE_PLACE = st.lists(
    st.tuples(
        st.just("a.b"),
        st.just("/s"),
        st.lists(
            st.sampled_from(
                [
                    'event.data.kind == "csv"',
                    'event.data.kind == "json"',
                    "event.data.size == 1",
                    "event.data.size == 2",
                    "event.data.urgent == true",
                    "event.data.deep.er == -1",
                    'event.subject == "s"',
                    "event.data.size > 0",
                ]
            ),
            min_size=1,
            max_size=4,
        ).map(" && ".join),
    ),
    min_size=TOLD_APART_ABOVE_COUNT,
    max_size=120,
)


@settings(max_examples=100, deadline=None)
@given(AT_ONE_PLACE, AT_ONE_PLACE, st.lists(events, min_size=1, max_size=8))
def test_triggers_told_apart_by_several_equalities_are_found_as_by_looking_at_all(
    first: list[tuple[str, str, str | None]], then: list[tuple[str, str, str | None]], causes: list[ReceivedCause]
):
    index = applied([("u", first), ("v", then), ("u", then), ("v", first[: len(first) // 2]), ("w", first)])
    for cause in causes:
        assert [rule.key for rule in index.candidates(cause)] == by_looking_at_all(index, cause)
    emptied = applied([("u", first), ("v", then), ("u", []), ("v", [])])
    assert len(emptied._by_type) == 0  # pyright: ignore[reportPrivateUsage]


@settings(max_examples=100, deadline=None)
@given(st.lists(triggers, min_size=RULE_OUT_ABOVE_COUNT + 1, max_size=40), events)
def test_nothing_that_would_fire_is_ruled_out(wanted: list[tuple[str, str, str | None]], cause: ReceivedCause):
    index = applied([("w", wanted)])
    found = {rule.key[1] for rule in index.candidates(cause)}
    for trigger in index.workflows["w"].event_triggers:
        config = trigger.config
        if trigger.id in found or config.filter is None or config.filter == "nonsense ((":
            continue
        if fits(config.event_type, cause.fact.type) and fits(config.source, cause.fact.source):
            try:
                holds = compile_lazily(config.filter, Scope.FILTER).holds(cause.bindings)
            except Exception:  # noqa: BLE001 - whatever cannot be evaluated does not fire
                holds = False
            assert not holds


COUNT = 5_000


@pytest.mark.parametrize(
    ("triggers", "matching"),
    [
        pytest.param(
            [("a.b", "/s", f'event.data.env == "prod" && event.data.customer == "c{n}"') for n in range(COUNT)],
            event("a.b", "/s", {"env": "prod", "customer": "c4711"}, None),
            id="one equality tells them apart",
        ),
        pytest.param(
            [("a.b", "/s", f"event.data.x == {n % 71} && event.data.y == {n // 71}") for n in range(COUNT)],
            event("a.b", "/s", {"x": 4711 % 71, "y": 4711 // 71}, None),
            id="only two together tell them apart",
        ),
        pytest.param(
            [("a.b", "/s", f"event.data.p{n} == 1") for n in range(COUNT)],
            event("a.b", "/s", {"p4711": 1}, None),
            id="each looks at a path of its own",
        ),
        pytest.param(
            [(f"a.{n}", "/s", None) for n in range(COUNT)],
            event("a.4711", "/s", {}, None),
            id="each has a type of its own",
        ),
        pytest.param(
            [("a.b", f"/s/{n}", None) for n in range(COUNT)],
            event("a.b", "/s/4711", {}, None),
            id="each has a source of its own",
        ),
        pytest.param(
            [("a.b", f"/s/*/{n}", None) for n in range(COUNT)],
            event("a.b", "/s/x/4711", {}, None),
            id="patterns with one beginning",
        ),
        pytest.param(
            [("a.b", f"*/{n}/*", None) for n in range(COUNT)],
            event("a.b", "/s/4711/x", {}, None),
            id="patterns with stars at both ends",
        ),
    ],
)
def test_matching_does_not_grow_with_the_number_of_triggers(
    triggers: list[tuple[str, str, str | None]], matching: ReceivedCause
):
    index = applied([("w", triggers)])
    assert [rule.key[1] for rule in index.candidates(matching)] == ["t4711"]
    start = time.process_time()
    for _ in range(100):
        index.candidates(matching)
    assert time.process_time() - start < 0.1, "a look-up takes 10 to 50 µs, looking at 5,000 triggers ten times as long"


@pytest.mark.parametrize("per_workflow", [1, 10])
def test_a_trigger_takes_less_than_a_kilobyte(per_workflow: int):
    count = 10_000
    history: list[tuple[str, list[tuple[str, str, str | None]] | None]] = [
        (
            f"w{n}",
            [
                ("order.placed", f"/shop/{n}", f'event.data.customer == "c-{n}-{k}" && event.data.amount > 10')
                for k in range(per_workflow)
            ],
        )
        for n in range(count // per_workflow)
    ]
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        index = applied(history)
        taken = (tracemalloc.get_traced_memory()[0] - before) / count
    finally:
        tracemalloc.stop()
    assert len(index.workflows) == count // per_workflow
    assert taken < 1024


def test_the_index_empties_with_its_workflows():
    index = applied([("w", [("a.b", "/s", FILTERS[1])] * 20), ("w", [])])
    assert index.candidates(event("a.b", "/s", {"kind": "csv"}, None)) == []
    assert len(index._by_type) == 0  # pyright: ignore[reportPrivateUsage]
