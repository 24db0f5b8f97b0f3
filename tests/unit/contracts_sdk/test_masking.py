"""Hidden values are found in their usual disguises, and what is not hidden stays as it is."""

import base64
import json
from urllib.parse import quote, quote_plus, unquote

import msgspec
import pytest
from flowforge.masking import MASK, Masking

SECRET = 'p4ss/w0rd+"ä\\ß'


@pytest.fixture
def masking() -> Masking:
    masking = Masking()
    masking.hide(SECRET)
    return masking


@pytest.mark.parametrize(
    "disguised",
    [
        SECRET, json.dumps(SECRET), json.dumps(SECRET, ensure_ascii=False), repr(SECRET), quote(SECRET), quote(SECRET, safe=""),
        quote_plus(SECRET), SECRET.encode().hex(), SECRET.encode().hex().upper(),
    ],
)  # fmt: skip
def test_a_value_is_found_in_its_disguises(masking: Masking, disguised: str):
    told = masking.text(f"<{disguised}>")
    assert MASK in told
    assert not any(part in told for part in ("p4ss", "70347373"))


@pytest.mark.parametrize("safe", ["", "/", "/+", '/+"', "\\"])
def test_a_value_is_found_however_much_of_it_is_percent_encoded(masking: Masking, safe: str):
    encoded = quote(SECRET, safe=safe)
    assert unquote(encoded) == SECRET
    for form in (encoded, encoded.lower()):
        assert masking.text(f"https://x/{form}?a") == "https://x/***?a"


@pytest.mark.parametrize("before", ["", "u:", "us:", "use:", "user:"])
@pytest.mark.parametrize("after", ["", "\n", "ab"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_value_is_found_in_base64_wherever_it_stands(masking: Masking, before: str, after: str, encode: object):
    encoded = encode(f"{before}{SECRET}{after}".encode()).decode()  # type: ignore[operator]
    told = masking.text(f"Basic {encoded}")
    assert MASK in told
    assert len(told.replace(MASK, "")) <= len("Basic ") + len(base64.b64encode((before + after).encode())) + 4


def test_json_is_masked_in_texts_names_and_numbers(masking: Masking):
    masking.hide("4711")
    raw = msgspec.Raw(json.dumps({SECRET: [SECRET, 47110, 1.5, True, None], "n": 4712}).encode())
    assert json.loads(bytes(masking.json(raw))) == {MASK: [MASK, f"{MASK}0", 1.5, True, None], "n": 4712}


def test_escapes_hide_nothing_from_the_mask():
    masking = Masking()
    masking.hide("secret-value")
    assert masking.json(msgspec.Raw(b'"\\u0073ecret-value"')) == msgspec.Raw(b'"***"')


def test_each_longer_line_of_a_value_is_hidden_by_itself():
    masking = Masking()
    masking.hide("-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\nx\n-----END KEY-----\n")
    assert masking.text("MIIEvQIBADANBgkqhkiG") == MASK
    assert masking.text("x marks the spot") == "x marks the spot"


def test_a_part_of_another_hidden_value_does_not_uncover_the_rest():
    masking = Masking()
    masking.hide("abc", "abcdef")
    assert masking.text("abcdef abc") == "*** ***"


def test_without_hidden_values_everything_is_passed_on_untouched():
    masking, raw = Masking(), msgspec.Raw(b' {"a" : 1} ')
    masking.hide("")
    assert masking.is_empty
    assert masking.json(raw) is raw
    assert masking.text("text") == "text"
