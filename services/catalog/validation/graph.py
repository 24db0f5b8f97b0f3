"""Graph algorithms over nodes numbered from 0. Linear, iterative: ten thousand nodes in a chain are no depth at all."""

from collections import deque
from collections.abc import Iterable, Sequence

Edges = Sequence[Sequence[int]]
"""For each node, where its edges lead."""


def reversed_edges(successors: Edges) -> list[list[int]]:
    """For each node, where its incoming edges come from."""
    predecessors: list[list[int]] = [[] for _ in successors]
    for source, targets in enumerate(successors):
        for target in targets:
            predecessors[target].append(source)
    return predecessors


def components(successors: Edges) -> list[list[int]]:
    """Strongly connected components, each before those that lead to it (R. Tarjan, 1972, with a stack of its own)."""
    count = len(successors)
    number, low = [0] * count, [0] * count
    is_open = [False] * count
    stack: list[int] = []
    found: list[list[int]] = []
    next_number = 1
    for root in range(count):
        if number[root]:
            continue
        work = [(root, 0)]
        while work:
            node, at = work.pop()
            if at == 0:
                number[node] = low[node] = next_number
                next_number += 1
                stack.append(node)
                is_open[node] = True
            descended = False
            for position in range(at, len(successors[node])):
                target = successors[node][position]
                if not number[target]:
                    work += [(node, position + 1), (target, 0)]
                    descended = True
                    break
                if is_open[target]:
                    low[node] = min(low[node], number[target])
            if descended:
                continue
            if low[node] == number[node]:
                found.append(_popped(stack, is_open, node))
            if work:
                parent = work[-1][0]
                low[parent] = min(low[parent], low[node])
    return found


def _popped(stack: list[int], is_open: list[bool], last: int) -> list[int]:
    component: list[int] = []
    while True:
        node = stack.pop()
        is_open[node] = False
        component.append(node)
        if node == last:
            return component


def cycles(successors: Edges, tangles: Sequence[list[int]] | None = None) -> list[list[int]]:
    """One cycle of each tangle: a shortest one through its first node. None exactly if there is no cycle at all.

    `tangles` are its `components`, where they are known already.
    """
    found: list[list[int]] = []
    for component in components(successors) if tangles is None else tangles:
        first = min(component)
        if len(component) > 1:
            found.append(_shortest_cycle(successors, first, set(component)))
        elif first in successors[first]:
            found.append([first])
    return sorted(found)


def _shortest_cycle(successors: Edges, start: int, within: set[int]) -> list[int]:
    came_from: dict[int, int] = {}
    queue = deque([start])
    while queue:
        node = queue.popleft()
        for target in successors[node]:
            if target == start:
                path = [node]
                while path[-1] != start:
                    path.append(came_from[path[-1]])
                return path[::-1]
            if target in within and target not in came_from:
                came_from[target] = node
                queue.append(target)
    raise AssertionError("a component with several nodes has a cycle through each of them")


def reachable(successors: Edges, roots: Iterable[int]) -> set[int]:
    """The roots and everything that edges lead to from them."""
    seen = set(roots)
    stack = list(seen)
    while stack:
        for target in successors[stack.pop()]:
            if target not in seen:
                seen.add(target)
                stack.append(target)
    return seen


def ancestors(successors: Edges, tangles: Sequence[list[int]] | None = None) -> list[int]:
    """For each node the set of nodes above it, as a bit set: bit n is node n. On a cycle, all of it is above each.

    `tangles` are its `components`, where they are known already.
    """
    order = components(successors) if tangles is None else tangles
    component_of = [0] * len(successors)
    for number, component in enumerate(order):
        for node in component:
            component_of[node] = number
    above = [0] * len(order)
    for number in range(len(order) - 1, -1, -1):  # from the roots down
        own = sum(1 << node for node in order[number])
        for node in order[number]:
            for target in successors[node]:
                below = component_of[target]
                above[below] |= own | above[number]
    return [above[component_of[node]] for node in range(len(successors))]
