"""Names with `*` in them, found without looking at all of them (pure).

`*` stands for any run of characters, none included. A pattern is filed under three fixed parts: the text before its
first `*`, the text after its last, and where it has more than one `*` the beginning of the longest text between them.
A name is looked up once for each combination of lengths that occurs, so only patterns that agree in all three are tried.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Generic, TypeVar

from services.triggers.settings import PATTERN_MIDDLE_CHARS_MAX

T = TypeVar("T")
_Place = tuple[str, str, str]
"""Beginning, ending, middle."""


class Pattern:
    """A text with one or more `*`. Matching takes time proportional to the text, whatever the pattern."""

    __slots__ = ("_middles", "_shortest", "beginning", "ending")

    def __init__(self, text: str) -> None:
        self.beginning, *middles, self.ending = text.split("*")
        self._middles = [part for part in middles if part]
        self._shortest = len(self.beginning) + len(self.ending)

    @property
    def place(self) -> _Place:
        """Where it is filed."""
        return self.beginning, self.ending, max(self._middles, key=len, default="")[:PATTERN_MIDDLE_CHARS_MAX]

    def matches(self, text: str) -> bool:
        if len(text) < self._shortest or not text.startswith(self.beginning) or not text.endswith(self.ending):
            return False
        at, end = len(self.beginning), len(text) - len(self.ending)
        for part in self._middles:
            found = text.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return True


class _Filed:
    """Patterns under their fixed parts."""

    __slots__ = ("_beginnings", "_filed", "_lengths")

    def __init__(self) -> None:
        self._filed: dict[_Place, str | tuple[str, ...]] = {}
        self._beginnings: Counter[str] = Counter()
        self._lengths: dict[int, Counter[tuple[int, int]]] = {}
        """Length of the beginning → lengths of ending and middle → how many places have them."""

    def add(self, name: str) -> None:
        place = Pattern(name).place
        there = self._filed.get(place)
        if there is not None:
            self._filed[place] = (*_names(there), name)
            return
        self._filed[place] = name
        beginning, ending, middle = place
        self._beginnings[beginning] += 1
        self._lengths.setdefault(len(beginning), Counter())[len(ending), len(middle)] += 1

    def remove(self, name: str) -> None:
        place = Pattern(name).place
        left = tuple(other for other in _names(self._filed[place]) if other != name)
        if left:
            self._filed[place] = left
            return
        del self._filed[place]
        beginning, ending, middle = place
        _uncount(self._beginnings, beginning)
        lengths = self._lengths[len(beginning)]
        _uncount(lengths, (len(ending), len(middle)))
        if not lengths:
            del self._lengths[len(beginning)]

    def matching(self, text: str) -> Iterator[str]:
        """The patterns that the text fits."""
        for place in self._places(text):
            for name in _names(self._filed.get(place, ())):
                if Pattern(name).matches(text):
                    yield name

    def _places(self, text: str) -> Iterator[_Place]:
        for beginning_length, lengths in self._lengths.items():
            beginning = text[:beginning_length]
            if len(beginning) < beginning_length or beginning not in self._beginnings:
                continue
            for ending_length, middle_length in lengths:
                end = len(text) - ending_length
                if end < beginning_length:
                    continue
                if not middle_length:
                    yield beginning, text[end:], ""
                    continue
                starts = range(beginning_length, end - middle_length + 1)
                for middle in {text[start : start + middle_length] for start in starts}:
                    yield beginning, text[end:], middle


def _names(there: str | tuple[str, ...]) -> tuple[str, ...]:
    """Most places have one pattern only, and that needs no tuple of its own."""
    return (there,) if isinstance(there, str) else there


def _uncount(counts: "Counter[T]", key: T) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]


class Patterns(Generic[T]):
    """Values under names that may hold `*`; `matching` finds all whose name fits a text."""

    __slots__ = ("_filed", "_values")

    def __init__(self) -> None:
        self._values: dict[str, T] = {}
        self._filed: _Filed | None = None
        """The names with `*`, where there are any."""

    def __len__(self) -> int:
        return len(self._values)

    def get(self, name: str) -> T | None:
        """The value under that very name."""
        return self._values.get(name)

    def put(self, name: str, value: T) -> None:
        """Set the value under a name."""
        if "*" in name and name not in self._values:
            if self._filed is None:
                self._filed = _Filed()
            self._filed.add(name)
        self._values[name] = value

    def discard(self, name: str) -> None:
        """Forget the name and its value."""
        if self._values.pop(name, None) is not None and "*" in name and self._filed is not None:
            self._filed.remove(name)

    def values(self) -> Iterator[T]:
        """All of them."""
        yield from self._values.values()

    def matching(self, text: str) -> Iterator[T]:
        """The values under all names that fit."""
        exact = self._values.get(text)
        if exact is not None and "*" not in text:
            yield exact
        if self._filed is not None:
            for name in self._filed.matching(text):
                yield self._values[name]
