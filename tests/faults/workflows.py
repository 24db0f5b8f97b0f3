"""The workflows of the load: one of each kind of thing that a fault may meet."""

from typing import Any

_job = {"type": "job", "job_type": "step"}


_start = [{"id": "begin", "type": "start"}]


def _on(event_type: str, filter_: str | None = None, batch: Any = None, **settings: Any) -> list[dict[str, Any]]:
    config = {
        "event_type": event_type,
        **({"filter": filter_} if filter_ else {}),
        **({"batch": batch} if batch else {}),
    }
    return [{"id": "on", "type": "event", "config": config, **settings}]


DEFINITIONS: list[dict[str, Any]] = [
    {
        "id": "chain",
        "name": "Three jobs in a row, the second with a large output",
        "nodes": [
            {"id": "a", **_job, "payload": {"n": "${input.n}"}},
            {"id": "b", **_job, "payload": {"n": "${input.n}", "size": "${input.size}"}},
            {"id": "c", **_job, "payload": {"n": "${nodes.b.output.n}"}},
        ],
        "edges": [{"source_node_id": "a", "target_node_id": "b"}, {"source_node_id": "b", "target_node_id": "c"}],
        "output_mapping": {"n": "${nodes.c.output.n}"},
        "triggers": _on("faults.chain", "event.data.n % 2 == 0"),
    },
    {
        "id": "map",
        "name": "One instance per item, then a join",
        "nodes": [
            {"id": "each", **_job, "for_each": "${input.items}", "max_parallel": 3, "payload": {"n": "${item}"}},
            {"id": "join", "type": "data_transform", "expressions": {"all": "${nodes.each.output.map(o, o.n)}"}},
        ],
        "edges": [{"source_node_id": "each", "target_node_id": "join"}],
        "triggers": _on("faults.map"),
    },
    {
        "id": "retry",
        "name": "Succeeds at the second attempt",
        "nodes": [
            {
                "id": "flaky",
                "type": "job",
                "job_type": "flaky",
                "timeout_ms": 30_000,
                "retry_policy": {"max_attempts": 3, "delay_ms": 100, "backoff_multiplier": 1},
            }
        ],
        "triggers": _on("faults.retry"),
    },
    {
        "id": "script",
        "name": "A script of the built-in worker",
        "nodes": [
            {
                "id": "shell",
                "type": "script",
                "language": "bash",
                "env": {"N": "${input.n}"},
                "source": 'echo "working on $N"; printf "%s" "$N" > "$FLOWFORGE_OUTPUT"',
            }
        ],
        "triggers": _on("faults.script"),
    },
    {
        "id": "cleanup",
        "name": "A branch fails, what exists for failure runs",
        "nodes": [
            {"id": "broken", "type": "job", "job_type": "broken"},
            {"id": "after", **_job, "payload": {}},
            {"id": "tidy", **_job, "payload": {"n": 0}},
        ],
        "edges": [
            {"source_node_id": "broken", "target_node_id": "after"},
            {"source_node_id": "broken", "target_node_id": "tidy", "dependency": "on_failure"},
        ],
        "triggers": _on("faults.cleanup"),
    },
    {
        "id": "parent",
        "name": "Runs another one as a child and waits for it",
        "nodes": [
            {"id": "child", "type": "workflow", "workflow_id": "map", "input": {"items": "${input.items}"}},
            {"id": "after", "type": "data_transform", "expressions": {"all": "${nodes.child.output}"}},
        ],
        "edges": [{"source_node_id": "child", "target_node_id": "after"}],
        "triggers": _on("faults.parent"),
    },
    {
        "id": "limited",
        "name": "One at a time for each key, the others wait",
        "settings": {"concurrency": {"limit": 1, "key": "${input.key}"}},
        "nodes": [{"id": "a", **_job, "payload": {"n": "${input.n}"}}],
        "triggers": _on("faults.limited"),
    },
    {
        "id": "pair",
        "name": "Two at a time",
        "settings": {"concurrency": {"limit": 2}},
        "nodes": [{"id": "a", **_job, "payload": {"n": "${input.n}"}}],
        "triggers": _on("faults.pair"),
    },
    {
        "id": "long",
        "name": "One job that takes as long as it is told",
        "nodes": [{"id": "work", "type": "job", "job_type": "long", "payload": {"ms": "${input.ms}"}}],
        "triggers": _on("faults.long"),
    },
    {
        "id": "loop",
        "name": "A loop of jobs, one after the other, with a loop side by side within",
        "nodes": [
            {
                "id": "outer",
                "type": "loop",
                "loop_type": "for_each",
                "array_source": "${input.items}",
                "body": {
                    "nodes": [
                        {"id": "one", **_job, "payload": {"n": "${item}"}},
                        {
                            "id": "inner",
                            "type": "loop",
                            "loop_type": "count",
                            "count": 2,
                            "max_parallel": 2,
                            "body": {
                                "nodes": [{"id": "two", **_job, "payload": {"n": "${nodes.one.output.n + index}"}}]
                            },
                        },
                    ],
                    "edges": [{"source_node_id": "one", "target_node_id": "inner"}],
                },
            },
            {
                "id": "sums",
                "type": "data_transform",
                "expressions": {"all": "${nodes.outer.output.map(i, i.map(o, o.n))}"},
            },
        ],
        "edges": [{"source_node_id": "outer", "target_node_id": "sums"}],
        "triggers": _on("faults.loop"),
    },
    {
        "id": "race",
        "name": "The first of two branches wins, one of which only waits",
        "nodes": [
            {"id": "p", "type": "parallel", "branches": [{"target_node_id": "quick"}, {"target_node_id": "slow"}]},
            {"id": "quick", **_job, "payload": {"n": "${input.n}"}},
            {"id": "slow", "type": "delay", "duration_ms": 600_000},
            {"id": "m", "type": "merge", "parallel_node_id": "p", "mode": "any"},
        ],
        "edges": [
            {"source_node_id": "quick", "target_node_id": "m"},
            {"source_node_id": "slow", "target_node_id": "m"},
        ],
        "triggers": _on("faults.race"),
    },
    {
        "id": "waits",
        "name": "Waits a moment, then for its answer, which comes as soon as somebody sees that it waits",
        "nodes": [
            {"id": "moment", "type": "delay", "duration_ms": 150},
            {
                "id": "answer",
                "type": "wait_event",
                "event_type": "answer",
                "filter": "event.data.n == input.n",
                "timeout_ms": 60_000,
            },
        ],
        "edges": [{"source_node_id": "moment", "target_node_id": "answer"}],
        "triggers": _on("faults.waits"),
    },
    {"id": "late", "name": "Starts later", "nodes": _start, "triggers": _on("faults.late", delay_ms=300)},
    {
        "id": "batched",
        "name": "Starts for three, or for what has come",
        "nodes": _start,
        "triggers": _on("faults.batched", batch={"count": 3, "window_ms": 400}, delay_ms=100),
    },
]
JOINED: dict[str, Any] = {
    "id": "joined",
    "name": "Starts when two others have ended, one soon after the other",
    "nodes": _start,
    "triggers": [
        {
            "id": "on",
            "type": "dependency",
            "config": {
                "upstreams": [{"workflow_id": name, "condition": "on_completion"} for name in ("map", "retry")],
                "logic": "all",
                "window_ms": 1_000,
            },
        }
    ],
}
