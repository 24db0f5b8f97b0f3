"""Where each box stands: layers by the longest way, as few crossings as a few sweeps find, straight lines where possible.

Source: Sugiyama, Tagawa and Toda, "Methods for Visual Understanding of Hierarchical System Structures" (1981): layers,
points for arrows that pass one, ordering by the mean place of the neighbours. Pure; the same graph is always the same
picture.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence

import msgspec

SWEEPS_COUNT = 6
Link = tuple[str, str]


class Item(msgspec.Struct):
    """A box, or the point where an arrow passes a layer (`id` None); `place` is its middle across the layers."""

    id: str | None
    size: float
    place: float = 0.0
    before: list["Item"] = []
    after: list["Item"] = []


class Layout(msgspec.Struct, frozen=True):
    """The layers from first to last, each in its order; and per link the items that it goes through, ends included."""

    layers: list[list[Item]]
    ways: dict[Link, list[Item]]

    @property
    def extent(self) -> float:
        """From the edge of the outermost item to that of the other."""
        return max((item.place + item.size / 2 for layer in self.layers for item in layer), default=0.0)


def laid_out(ids: Sequence[str], links: Iterable[Link], *, size: float, gap: float, point_size: float) -> Layout:
    """A place for every box and a way for every link. Links that lead back (a definition that is not valid yet may have
    some) are drawn the other way round."""
    known = set(ids)
    wanted = list(dict.fromkeys((a, b) for a, b in links if a in known and b in known and a != b))
    level = levels(ids, wanted)
    forward = [(a, b) if level[a] < level[b] else (b, a) for a, b in wanted if level[a] != level[b]]
    layers: list[list[Item]] = [[] for _ in range(max(level.values(), default=-1) + 1)]
    boxes = {name: Item(name, size) for name in ids}
    for name in ids:
        layers[level[name]].append(boxes[name])
    ways = {link: _way(link, level, boxes, layers, point_size) for link in forward}
    for way in ways.values():
        for one, other in itertools.pairwise(way):
            one.after.append(other)
            other.before.append(one)
    _order(layers)
    _place(layers, gap)
    backward = {(a, b): ways[b, a][::-1] for a, b in wanted if (a, b) not in ways and (b, a) in ways}
    return Layout(layers, {**ways, **backward})


def levels(ids: Sequence[str], links: Sequence[Link]) -> dict[str, int]:
    """The length of the longest way to each box; where boxes wait for one another, the first of them is let through."""
    ups: dict[str, set[str]] = {name: set() for name in ids}
    downs: dict[str, list[str]] = {name: [] for name in ids}
    for source, target in links:
        ups[target].add(source)
        downs[source].append(target)
    level: dict[str, int] = {}
    ready = [name for name in ids if not ups[name]]
    waiting = dict.fromkeys(name for name in ids if ups[name])
    while ready or waiting:
        if not ready:
            ready.append(next(iter(waiting)))
            del waiting[ready[0]]
        name = ready.pop(0)
        level.setdefault(name, 0)
        for target in downs[name]:
            if target not in waiting:
                continue
            level[target] = max(level.get(target, 0), level[name] + 1)
            ups[target].discard(name)
            if not ups[target]:
                del waiting[target]
                ready.append(target)
    return level


def _way(
    link: Link, level: Mapping[str, int], boxes: Mapping[str, Item], layers: list[list[Item]], point_size: float
) -> list[Item]:
    source, target = link
    way = [boxes[source]]
    for between in range(level[source] + 1, level[target]):
        point = Item(None, point_size)
        layers[between].append(point)
        way.append(point)
    return [*way, boxes[target]]


def _order(layers: list[list[Item]]) -> None:
    """Sweep there and back: each item goes to the mean place of its neighbours in the layer before."""
    for sweep in range(SWEEPS_COUNT):
        downward = sweep % 2 == 0
        for layer in layers if downward else layers[::-1]:
            rank = {id(item): number for number, item in enumerate(layer)}
            layer.sort(key=lambda item: _mean(item.before if downward else item.after, rank[id(item)]))
            for number, item in enumerate(layer):
                item.place = float(number)


def _mean(neighbours: Sequence[Item], otherwise: float) -> float:
    return sum(item.place for item in neighbours) / len(neighbours) if neighbours else otherwise


def _place(layers: list[list[Item]], gap: float) -> None:
    """Places across the layers: near the neighbours on both sides, in order, never closer than `gap`."""
    for layer in layers:
        place = 0.0
        for item in layer:
            item.place = place + item.size / 2
            place += item.size + gap
    for sweep in range(2 * SWEEPS_COUNT):
        is_downward = sweep % 2 == 1
        for layer in layers if is_downward else layers[::-1]:
            _settle(layer, gap, is_downward=is_downward)
    lowest = min((item.place - item.size / 2 for layer in layers for item in layer), default=0.0)
    for layer in layers:
        for item in layer:
            item.place -= lowest


def _settle(layer: list[Item], gap: float, *, is_downward: bool) -> None:
    """Each wants to be at the mean of its neighbours on the side that the sweep comes from, so that a chain is straight.

    Pushing all forward keeps the distances, pushing all back too, and so does the middle of both.
    """
    wanted = [_mean(item.before if is_downward else item.after, item.place) for item in layer]
    forward, backward = list(wanted), list(wanted)
    for index in range(1, len(layer)):
        least = (layer[index - 1].size + layer[index].size) / 2 + gap
        forward[index] = max(forward[index], forward[index - 1] + least)
    for index in range(len(layer) - 2, -1, -1):
        least = (layer[index].size + layer[index + 1].size) / 2 + gap
        backward[index] = min(backward[index], backward[index + 1] - least)
    for item, one, other in zip(layer, forward, backward, strict=True):
        item.place = (one + other) / 2
