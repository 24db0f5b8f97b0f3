"""How long validation takes for definitions as large as they may be: 10,000 nodes in several shapes."""

import itertools
import random
import statistics
import time
from collections.abc import Iterator
from typing import Any

from figures import Figure, at_most
from flowforge.definition import NODES_MAX

from services.catalog.validation import validate

ROUNDS = 3
_LOOP_NODES = 9
_MEAN_SOURCES = 5


def _job(name: str, reads: str) -> dict[str, Any]:
    return {"id": name, "type": "job", "job_type": "x", "payload": {"value": f"${{{reads}}}"}}


def _edge(source: str, target: str) -> dict[str, Any]:
    return {"source_node_id": source, "target_node_id": target}


def _workflow(nodes: list[dict[str, Any]], edges: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": "large", "name": "Large", "nodes": nodes, "edges": edges}


def chain(count: int = NODES_MAX) -> dict[str, Any]:
    nodes = [_job(f"n{n}", f"nodes.n{n - 1}.output.value" if n else "input.value") for n in range(count)]
    return _workflow(nodes, [_edge(f"n{n}", f"n{n + 1}") for n in range(count - 1)])


def wide(count: int = NODES_MAX) -> dict[str, Any]:
    """One node, all others beside each other, and one that joins them."""
    middle = [f"n{n}" for n in range(count - 2)]
    nodes = [_job("first", "input.value"), *(_job(name, "nodes.first.output.value") for name in middle)]
    edges = [edge for name in middle for edge in (_edge("first", name), _edge(name, "last"))]
    return _workflow([*nodes, _job("last", "nodes.first.output.value")], edges)


def tangled(count: int = NODES_MAX) -> dict[str, Any]:
    """A random graph without cycles; each node reads one of those that it follows."""
    chance = random.Random(1)
    nodes, edges = [_job("n0", "input.value")], []
    for n in range(1, count):
        sources = {chance.randrange(n) for _ in range(_MEAN_SOURCES)}
        nodes.append(_job(f"n{n}", f"nodes.n{min(sources)}.output.value"))
        edges += [_edge(f"n{source}", f"n{n}") for source in sorted(sources)]
    return _workflow(nodes, edges)


def loops(count: int = NODES_MAX) -> dict[str, Any]:
    """A chain of loops, each with a chain in its body."""
    nodes: list[dict[str, Any]] = []
    for n in range(count // (_LOOP_NODES + 1)):
        names = [f"n{n}-{at}" for at in range(_LOOP_NODES)]
        body = {
            "nodes": [_job(name, "item.value") for name in names],
            "edges": [_edge(one, other) for one, other in itertools.pairwise(names)],
        }
        source = f"${{nodes.loop{n - 1}.output}}" if n else "${input.items}"
        nodes.append({"id": f"loop{n}", "type": "loop", "loop_type": "for_each", "array_source": source, "body": body})
    return _workflow(nodes, [_edge(f"loop{n}", f"loop{n + 1}") for n in range(len(nodes) - 1)])


SHAPES = {"in a chain": chain, "side by side": wide, "a random graph": tangled, "in bodies of loops": loops}


def figures() -> Iterator[Figure]:
    """The median of several rounds for each shape; a report with errors is no measurement."""
    for name, shape in SHAPES.items():
        document = shape()
        times: list[float] = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            report = validate(document)
            times.append(time.perf_counter() - start)
            if not report.is_valid:
                raise RuntimeError(f"{name}: {report.errors[0].message}")
        yield at_most(f"a definition of 10,000 nodes validated, {name}", statistics.median(times), 1, "s", 2)
