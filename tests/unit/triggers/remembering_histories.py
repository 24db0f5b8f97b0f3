"""Histories of triggers that remember: what may be saved, received, said again and cut off, at random."""

import itertools
from typing import Any

from hypothesis import strategies as st
from remembering_oracle import Config
from triggers_spec import on_event, on_upstreams

UPSTREAMS = ("a", "b")
WORKFLOWS = ("v", "w")
TRIGGERS = ("s", "t")

durations = st.sampled_from([100, 300, 700])
limits = st.builds(
    lambda count, per_ms: {"max_fires": count, "per_ms": per_ms}, st.integers(1, 2), st.sampled_from([300, 1000])
)
waits = st.fixed_dictionaries(
    {},
    optional={
        "debounce_ms": durations,
        "delay_ms": durations,
        "limit": limits,
    },
)
enabled = st.sampled_from([{}, {}, {}, {}, {"enabled": False}])
gathering = st.one_of(
    st.just({}),
    st.builds(lambda count, ms: {"batch": {"count": count, "window_ms": ms}}, st.integers(1, 3), durations),
    st.builds(lambda ms: {"absent_for_ms": ms}, durations),
)
event_triggers = st.builds(
    lambda kind, *parts: dict(itertools.chain([("event_type", kind)], *(part.items() for part in parts))),
    st.sampled_from(["k1", "k1", "k2", "*"]),
    st.sampled_from([{}, {}, {"filter": "even"}]),
    gathering,
    waits,
    enabled,
)
conditions = st.sampled_from(["on_success", "on_success", "on_failure", "on_completion"])
dependency_triggers = st.builds(
    lambda upstreams, *parts: dict(
        itertools.chain([("upstreams", upstreams), ("logic", "any")], *(part.items() for part in parts))
    ),
    st.one_of(
        st.builds(lambda one, other: [("a", one), ("b", other)], conditions, conditions),
        st.builds(lambda one: [("a", one)], conditions),
    ),
    st.one_of(st.just({}), durations.map(lambda ms: {"logic": "all", "window_ms": ms})),
    st.sampled_from([{}, {"correlate_by": "run.labels.day"}]),
    waits,
    enabled,
)
any_trigger = event_triggers | dependency_triggers
triggers = st.dictionaries(st.sampled_from(TRIGGERS), any_trigger, max_size=2)
statuses = st.sampled_from(["active", "active", "active", "draft"])
saves = st.tuples(st.just("save"), st.sampled_from(WORKFLOWS), triggers, statuses, st.booleans())
switches = st.tuples(st.just("switch"), st.sampled_from(WORKFLOWS), st.booleans())
archived = st.tuples(st.just("archive"), st.sampled_from(WORKFLOWS), st.booleans())
events = st.tuples(
    st.just("event"), st.integers(0, 40), st.sampled_from(["k1", "k1", "k2"]), st.sampled_from([0, 2, 1, None])
)
commands = st.tuples(st.just("command"), st.lists(events, min_size=1, max_size=3))
endings = st.tuples(
    st.just("ends"),
    st.sampled_from(UPSTREAMS),
    st.sampled_from(["success", "success", "failure", "cancel"]),
    st.sampled_from(["mon", "mon", "tue", ""]),
)
again = st.tuples(st.just("again"), st.integers(0, 20))
timers = st.tuples(st.just("timer"), st.integers(0, 20))
deaths = st.sampled_from(["", "", "", "before", "after", "unsaid"])
messages = st.lists(
    st.one_of(events, events, events, endings, endings, commands, again, timers), min_size=1, max_size=5
)
turns = st.tuples(st.just("turn"), messages, deaths)
passing = st.tuples(st.just("time"), st.sampled_from([100, 200, 300, 500, 0, 1000]), st.booleans())
stumbles = st.tuples(st.just("stumble"), durations, st.integers(0, 20), deaths)
changes = st.one_of(switches, saves, archived, st.tuples(st.sampled_from(["restart", "keep"])))
beginnings = st.tuples(
    *(
        st.tuples(
            st.just("save"),
            st.just(workflow),
            st.fixed_dictionaries(dict.fromkeys(TRIGGERS, any_trigger)),
            st.just("active"),
            st.booleans(),
        )
        for workflow in WORKFLOWS
    )
)
histories = st.builds(
    lambda begins, steps: [*begins, *steps],
    beginnings,
    st.lists(
        st.one_of(turns, turns, turns, turns, passing, passing, passing, stumbles, changes), min_size=5, max_size=16
    ),
)


def written(name: str, config: Config) -> dict[str, Any]:
    """The trigger as it stands in a definition."""
    more = {key: value for key, value in config.items() if key not in {"upstreams", "event_type"}}
    if "upstreams" not in config:
        if more.get("filter") == "even":
            more["filter"] = "event.data.n % 2 == 0"
        return on_event(name, config["event_type"], **more)
    trigger = on_upstreams(trigger_id=name, **more)
    trigger["config"]["upstreams"] = [
        {"workflow_id": workflow, "condition": condition} for workflow, condition in config["upstreams"]
    ]
    return trigger
