"""A text is found however JSON writers spell it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.erasure.finding import spellings


@pytest.mark.parametrize(
    ("text", "as_written"),
    [
        ("José", "Jos\\u00e9"),
        ("José", "Jos\\u00E9"),
        ("ada+shop@example.org", "ada\\u002Bshop@example.org"),
        ('Ada "Countess" O\'Neil', "Ada \\u0022Countess\\u0022 O\\u0027Neil"),
        ("R&D", "R\\u0026D"),
        ("12/3 Main", "12\\/3 Main"),
        ("Zoë 12/3", "Zo\\u00eb 12\\/3"),
        ("\U0001f600 Ada", "\\uD83D\\uDE00 Ada"),
    ],
)
def test_a_text_is_looked_for_as_others_write_it(text: str, as_written: str):
    assert as_written in spellings(text)
    assert json.loads(f'"{as_written}"') == text


@given(st.text(min_size=3))
def test_every_spelling_but_the_text_itself_reads_as_the_text(text: str):
    first, *others = spellings(text)
    assert first == text
    assert {json.loads(f'"{each}"') for each in others} <= {text}
    assert {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]} <= {first, *others}


def test_a_plain_text_has_one_spelling():
    assert spellings("ada@example.org") == ("ada@example.org",)
