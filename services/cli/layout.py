"""Where each node of a graph stands in the drawn tree. Pure.

A run's graph is a DAG, a terminal shows lines. What is drawn is the dominator tree (Cooper, Harvey and Kennedy, "A
Simple, Fast Dominance Algorithm"): branches hang under the node where they part, the node where they meet stands below
them, level with the node where they parted; a chain does not move to the right.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from services.cli.glyphs import Glyphs

ROOT = ""


class Row(NamedTuple):
    """One node's place: the lines drawn before it, and those before what belongs to it on further lines."""

    node_id: str
    guide: str
    below: str


def rows(after: Mapping[str, Sequence[str]], glyphs: Glyphs) -> list[Row]:
    """A place for every node. `after`: what each node depends on, nodes in topological order."""
    ups = {name: [up for up in before if up in after and up != name] for name, before in after.items()}
    children = _dominator_children(ups)
    placed: list[Row] = []
    waiting = _places(ROOT, "", ups, children, glyphs)[::-1]
    while waiting:
        row = waiting.pop()
        placed.append(row)
        waiting.extend(_places(row.node_id, row.below, ups, children, glyphs)[::-1])
    return placed


def _dominator_children(ups: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The nodes directly below each node in the dominator tree, in topological order."""
    parent: dict[str, str] = {}
    depth: dict[str, int] = {ROOT: 0}
    children: dict[str, list[str]] = {ROOT: []}
    for name, before in ups.items():
        meeting: str | None = None
        for up in before:
            if up in depth:  # not in a cycle
                meeting = up if meeting is None else _common(meeting, up, parent, depth)
        parent[name] = meeting or ROOT
        depth[name] = depth[parent[name]] + 1
        children[name] = []
        children[parent[name]].append(name)
    return children


def _common(one: str, other: str, parent: Mapping[str, str], depth: Mapping[str, int]) -> str:
    while one != other:
        if depth[one] >= depth[other]:
            one = parent[one]
        else:
            other = parent[other]
    return one


def _places(
    name: str, below: str, ups: Mapping[str, Sequence[str]], children: Mapping[str, list[str]], glyphs: Glyphs
) -> list[Row]:
    """Rows of what hangs directly under `name`: its branches, then the nodes where they meet."""
    branches = [child for child in children[name] if len(ups[child]) <= 1]
    meetings = [child for child in children[name] if len(ups[child]) > 1]
    unconnected = name == ROOT and not meetings and not any(children[branch] for branch in branches)
    if (len(branches) == 1 and not meetings) or unconnected:
        return [Row(branch, below, below) for branch in branches]
    placed: list[Row] = []
    for index, branch in enumerate(branches):
        is_last = index == len(branches) - 1
        turn = glyphs.last if is_last else glyphs.first if name == ROOT and index == 0 else glyphs.branch
        line = " " * len(glyphs.pipe) if is_last else glyphs.pipe
        placed.append(Row(branch, below + turn, below + line))
    return placed + [Row(meeting, below, below) for meeting in meetings]
