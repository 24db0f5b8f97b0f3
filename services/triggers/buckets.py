"""The triggers on one event type and source, where an event finds those whose equalities it meets (pure).

Up to `RULE_OUT_ABOVE_COUNT` triggers are a tuple: nothing is ruled out among so few, so that all their decisions are
recorded. More are a bucket: each is filed under the rarest of its equalities, path and value, and where too many share
that one, by another within it. An event is held against the paths that occur in both it and the filters. Only ids are
kept; what a trigger demands is asked for again when it must be filed elsewhere.
"""

from collections.abc import Callable, Hashable, Iterator
from typing import Any, cast

from infra.expressions import index_key
from services.triggers.settings import RULE_OUT_ABOVE_COUNT, TOLD_APART_ABOVE_COUNT

RuleKey = tuple[str, str]
"""Workflow id, trigger id."""
Path = tuple[str, ...]
Term = tuple[Path, Hashable]
"""What the value at a path of the event must be, as `index_key`."""
Terms = tuple[Term, ...]
TermsOf = Callable[[RuleKey], Terms]


class _Step:
    """A step of the paths that occur: the values demanded here, and the steps from here on."""

    __slots__ = ("steps", "values")

    def __init__(self) -> None:
        self.values: dict[Hashable, Leaf] | None = None
        self.steps: dict[str, _Step] | None = None

    def at(self, path: Path) -> "_Step":
        """Where that path leads from here, made where it was not yet."""
        step = self
        for name in path:
            if step.steps is None:
                step.steps = {}
            further = step.steps.get(name)
            if further is None:
                further = step.steps[name] = _Step()
            step = further
        return step

    def leaf(self, term: Term) -> "Leaf":
        """What is filed under a path from here and a value."""
        step = self
        for name in term[0]:
            further = None if step.steps is None else step.steps.get(name)
            if further is None:
                return ()
            step = further
        return () if step.values is None else step.values.get(term[1], ())


class Bucket:
    """More triggers than a tuple may hold. `used`: the paths by which all of them were filed already."""

    __slots__ = ("_root", "_unindexed", "_used", "count")

    def __init__(self, used: frozenset[Path]) -> None:
        self.count = 0
        self._used = used
        self._root = _Step()
        self._unindexed: dict[RuleKey, None] = {}

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[RuleKey]:
        yield from self._unindexed
        waiting = [self._root]
        while waiting:
            step = waiting.pop()
            waiting += (step.steps or {}).values()
            for leaf in (step.values or {}).values():
                yield from leaf

    def add(self, key: RuleKey, terms: Terms, terms_of: TermsOf) -> None:
        """`terms`: what the trigger demands; `terms_of` answers that for those that were added before."""
        self.count += 1
        unused = self._unused(terms)
        if not unused:
            self._unindexed[key] = None
            return
        path, value = unused[0] if len(unused) == 1 else min(unused, key=self._count)
        step = self._root.at(path)
        if step.values is None:
            step.values = {}
        step.values[value] = added(step.values.get(value, ()), key, terms, terms_of, self._used | {path})

    def remove(self, key: RuleKey, terms: Terms) -> bool:
        """Whether it was there. `terms`: those it was added with."""
        if key in self._unindexed:
            del self._unindexed[key]
            self.count -= 1
            return True
        for term in self._unused(terms):
            left = removed(self._root.leaf(term), key, terms)
            if left is not None:
                self._set(term, left)
                self.count -= 1
                return True
        return False

    def found(self, event: object) -> list[RuleKey]:
        """Those that the event may concern: whatever is not among them demands another value of it."""
        keys = list(self._unindexed)
        for leaf in _leaves(self._root, event):
            keys += leaf if isinstance(leaf, tuple) else leaf.found(event)
        return keys

    def unindexed(self) -> list[RuleKey]:
        """Those that demand nothing."""
        return list(self._unindexed)

    def _unused(self, terms: Terms) -> Terms:
        return tuple(term for term in terms if term[0] not in self._used) if self._used else terms

    def _count(self, term: Term) -> int:
        return len(self._root.leaf(term))

    def _set(self, term: Term, leaf: "Leaf") -> None:
        """Put what is left under a term; where that is nothing, take away the steps that lead nowhere."""
        path, value = term
        steps = [self._root]
        for name in path:
            steps.append((steps[-1].steps or {})[name])
        values = steps[-1].values or {}
        if len(leaf):
            values[value] = leaf
            return
        del values[value]
        for step, name in zip(reversed(steps[:-1]), reversed(path), strict=True):
            further = (step.steps or {})[name]
            if further.values or further.steps:
                return
            del (step.steps or {})[name]


Leaf = tuple[RuleKey, ...] | Bucket


def added(leaf: Leaf, key: RuleKey, terms: Terms, terms_of: TermsOf, used: frozenset[Path] = frozenset()) -> Leaf:
    """With one more trigger; it may be another object."""
    if isinstance(leaf, tuple):
        if len(leaf) < (TOLD_APART_ABOVE_COUNT if used else RULE_OUT_ABOVE_COUNT):
            return (*leaf, key)
        keys, leaf = leaf, Bucket(used)
        for one in keys:
            leaf.add(one, terms_of(one), terms_of)
    leaf.add(key, terms, terms_of)
    return leaf


def removed(leaf: Leaf, key: RuleKey, terms: Terms) -> Leaf | None:
    """Without that trigger, which was added with these terms; None where it is not in."""
    if isinstance(leaf, tuple):
        return tuple(one for one in leaf if one != key) if key in leaf else None
    if not leaf.remove(key, terms):
        return None
    return leaf if leaf.count > RULE_OUT_ABOVE_COUNT else tuple(leaf)


def _leaves(step: _Step, value: Any) -> list[Leaf]:
    """What is filed under the values that are there; looked at are as many steps as the smaller of the two has."""
    leaves: list[Leaf] = []
    if step.values:
        key = index_key(value)
        if key is not None and (leaf := step.values.get(key)) is not None:
            leaves.append(leaf)
    if step.steps and isinstance(value, dict):
        inner = cast("dict[str, Any]", value)
        if len(step.steps) <= len(inner):
            for name, further in step.steps.items():
                if name in inner:
                    leaves += _leaves(further, inner[name])
        else:
            for name, part in inner.items():
                if name in step.steps:
                    leaves += _leaves(step.steps[name], part)
    return leaves
