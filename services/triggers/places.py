"""Where a run may begin or halt: the nodes of a definition, those of loop bodies among them (pure)."""

import difflib
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from flowforge.commands import RequestRun
from flowforge.raw import ABSENT, present

from services.triggers.settings import NEAREST_IDS_MAX

_LOOP = "loop"


class Places(msgspec.Struct, frozen=True):
    """`own`: nodes of the workflow's own graph; `inner`: nodes of loop bodies, each with its outermost loop."""

    own: frozenset[str]
    inner: dict[str, str]


class _Node(msgspec.Struct, gc=False):
    """A node's own settings stand beside its common fields, or in `config`."""

    id: str
    type: str = ""
    body: msgspec.Raw = ABSENT
    config: msgspec.Raw = ABSENT


class _Graph(msgspec.Struct, gc=False):
    nodes: list[_Node] = []


class _Loop(msgspec.Struct, gc=False):
    body: _Graph


_graph = msgspec.json.Decoder(_Graph)
_loop = msgspec.json.Decoder(_Loop)


def places_of(definition: bytes | msgspec.Raw) -> Places:
    """Of a stored definition; of one that cannot be read there are none."""
    try:
        return _places_of(_graph.decode(definition).nodes)
    except msgspec.DecodeError:
        return Places(frozenset(), {})


def _places_of(nodes: Sequence[_Node]) -> Places:
    inner = {inside: loop.id for loop in nodes if loop.type == _LOOP for inside in _within(loop)}
    return Places(frozenset(node.id for node in nodes), inner)


def _within(loop: _Node) -> Iterator[str]:
    body = present(loop.body)
    graph = _loop.decode(loop.config).body if body is None else _graph.decode(body)
    for node in graph.nodes:
        yield node.id
        if node.type == _LOOP:
            yield from _within(node)


def misplaced(places: Places, command: RequestRun) -> list[dict[str, Any]]:
    """What of `from_node`, `breakpoints` and the changes of a fork is nowhere in that version, as errors of a refusal.

    A run begins at a node of its own graph; it may halt in a loop's body too.
    """
    errors: list[dict[str, Any]] = []
    first = command.from_node
    if first is not None and first in places.inner:
        message = (
            f"the node '{first}' is in the body of '{places.inner[first]}': a run can begin at the loop, not in it"
        )
        errors.append(_error("$.from_node", message, f"name '{places.inner[first]}'"))
    elif first is not None and first not in places.own:
        errors.append(_unknown("$.from_node", first, sorted(places.own)))
    if command.fork is not None:
        for path, names in (("node_outputs", command.fork.node_outputs), ("rerun", command.fork.rerun)):
            errors += [
                _unknown(f"$.changes.{path}", name, sorted(places.own)) for name in names if name not in places.own
            ]
    known = places.own | places.inner.keys()
    for at, name in enumerate(command.breakpoints):
        if name not in known:
            errors.append(_unknown(f"$.breakpoints[{at}]", name, sorted(known)))
    return errors


def _unknown(path: str, name: str, known: Sequence[str]) -> dict[str, Any]:
    near = difflib.get_close_matches(name, known, n=NEAREST_IDS_MAX)
    mend = "name " + " or ".join(f"'{one}'" for one in near) if near else "name a node of that version of the workflow"
    return _error(path, f"there is no node '{name}' in the workflow", mend)


def _error(path: str, message: str, mend: str) -> dict[str, Any]:
    return {"path": path, "message": message, "suggested_resolution": mend}
