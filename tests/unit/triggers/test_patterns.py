"""Names with `*`: what matches, and that the filing finds exactly what trying all would find."""

import re
import time

from hypothesis import given
from hypothesis import strategies as st

from services.triggers.patterns import Pattern, Patterns

names = st.text(alphabet="ab.", max_size=6)
patterns = st.text(alphabet="ab.*", max_size=6)


def matches(pattern: str, text: str) -> bool:
    """The oracle: a regular expression."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None


@given(patterns.filter(lambda text: "*" in text), names)
def test_a_star_stands_for_any_run_of_characters(pattern: str, text: str):
    assert Pattern(pattern).matches(text) == matches(pattern, text)


@given(st.lists(patterns, max_size=30), st.data(), st.lists(names, min_size=1))
def test_filing_finds_what_trying_all_finds(added: list[str], data: st.DataObject, texts: list[str]):
    filed: Patterns[list[str]] = Patterns()
    for pattern in added:
        filed.put(pattern, [pattern])
        assert filed.get(pattern) == [pattern]
    kept = set(added)
    for pattern in data.draw(st.lists(st.sampled_from(added), max_size=20)) if added else []:
        filed.discard(pattern)
        kept.discard(pattern)
    assert len(filed) == len(kept)
    for text in texts:
        found = [name for value in filed.matching(text) for name in value]
        assert sorted(found) == sorted(pattern for pattern in kept if matches(pattern, text))


def test_many_stars_cost_no_more_than_the_text():
    start = time.process_time()
    assert not Pattern("*a" * 250 + "*b").matches("a" * 512)
    assert time.process_time() - start < 0.1
