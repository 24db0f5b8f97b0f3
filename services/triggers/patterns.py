"""Names with `*` in them, found without looking at all of them (pure).

`*` stands for any run of characters, none included. A pattern is filed under the text before its first `*`, or under
the text after its last one where it begins with `*`; so only patterns with the right beginning or ending are tried.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Pattern:
    """A text with one or more `*`. Matching takes time proportional to the text, whatever the pattern."""

    __slots__ = ("_middles", "_shortest", "beginning", "ending")

    def __init__(self, text: str) -> None:
        self.beginning, *middles, self.ending = text.split("*")
        self._middles = [part for part in middles if part]
        self._shortest = len(self.beginning) + len(self.ending)

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


class _Filed(Generic[T]):
    """Patterns by one fixed part of theirs: `part(text, n)` is the part of length n of a text."""

    def __init__(self, part: Callable[[str, int], str]) -> None:
        self._part = part
        self._filed: dict[str, dict[str, tuple[Pattern, T]]] = {}
        self._lengths: Counter[int] = Counter()

    def add(self, fixed: str, text: str, pattern: Pattern, value: T) -> None:
        self._filed.setdefault(fixed, {})[text] = (pattern, value)
        self._lengths[len(fixed)] += 1

    def remove(self, fixed: str, text: str) -> None:
        del self._filed[fixed][text]
        if not self._filed[fixed]:
            del self._filed[fixed]
        self._lengths[len(fixed)] -= 1
        if not self._lengths[len(fixed)]:
            del self._lengths[len(fixed)]

    def matching(self, text: str) -> Iterator[T]:
        for length in self._lengths:
            if length > len(text):
                continue
            for pattern, value in self._filed.get(self._part(text, length), {}).values():
                if pattern.matches(text):
                    yield value


class Patterns(Generic[T]):
    """Values under names that may hold `*`; `matching` finds all whose name fits a text."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._values: dict[str, T] = {}
        self._exact: dict[str, T] = {}
        self._by_beginning: _Filed[T] = _Filed(lambda text, length: text[:length])
        self._by_ending: _Filed[T] = _Filed(lambda text, length: text[len(text) - length :])

    def __len__(self) -> int:
        return len(self._values)

    def at(self, name: str) -> T:
        """The value under a name, made where there is none."""
        value = self._values.get(name)
        if value is None:
            value = self._values[name] = self._make()
            self._file(name, value)
        return value

    def discard(self, name: str) -> None:
        """Forget the name and its value."""
        if self._values.pop(name, None) is None:
            return
        if "*" not in name:
            del self._exact[name]
            return
        pattern = Pattern(name)
        if pattern.beginning:
            self._by_beginning.remove(pattern.beginning, name)
        else:
            self._by_ending.remove(pattern.ending, name)

    def matching(self, text: str) -> Iterator[T]:
        """The values under all names that fit."""
        exact = self._exact.get(text)
        if exact is not None:
            yield exact
        if len(self._exact) < len(self._values):
            yield from self._by_beginning.matching(text)
            yield from self._by_ending.matching(text)

    def _file(self, name: str, value: T) -> None:
        if "*" not in name:
            self._exact[name] = value
            return
        pattern = Pattern(name)
        if pattern.beginning:
            self._by_beginning.add(pattern.beginning, name, pattern, value)
        else:
            self._by_ending.add(pattern.ending, name, pattern, value)
