"""Values that must not be told, and `***` in their place: the second net, behind telling nothing in the first place.

Besides the value itself its usual disguises are found: base64 (of either alphabet, also as a part of a longer text such
as `user:password`), percent-encoding, hexadecimal digits, the escapes of JSON and of Python, and each longer line of a
value of several lines. What a program does to a value beyond that is not seen.
"""

import base64
import json
import re
from collections.abc import Iterator
from typing import Any, cast
from urllib.parse import quote

import msgspec

MASK = "***"
DISGUISE_CHARS_MIN = 8
"""A shorter disguise, or line of a value, would be found in texts that have nothing to do with it."""
PERCENT_CHARS_MAX = 2_000
"""Of a value that is found when some of its characters are percent-encoded and others are not, as addresses have it."""
_encode = msgspec.json.Encoder().encode


class Masking:
    """The values of one job that are hidden. Nothing is hidden at first, and then every method gives back what it got."""

    def __init__(self) -> None:
        self._hidden: list[str] = []
        self._encoded: list[re.Pattern[str]] = []

    def hide(self, *values: str) -> None:
        """Hide these values too; an empty one is none."""
        forms = set(self._hidden)
        for value in values:
            forms.update(_forms(value))
            if DISGUISE_CHARS_MIN <= len(value) <= PERCENT_CHARS_MAX and not value.isalnum():
                self._encoded.append(_percent_encoded(value))
        self._hidden = sorted(forms, key=lambda form: (-len(form), form))  # a form may be part of a longer one

    @property
    def is_empty(self) -> bool:
        return not self._hidden

    def text(self, text: str) -> str:
        """The text with every hidden value masked."""
        for form in self._hidden:
            if form in text:
                text = text.replace(form, MASK)
        if "%" in text:
            for pattern in self._encoded:
                text = pattern.sub(MASK, text)
        return text

    def data(self, value: Any) -> Any:
        """JSON data with every hidden value masked, in names as well; a number that shows one becomes a text."""
        if not self._hidden:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(name): self.data(part) for name, part in cast("dict[str, Any]", value).items()}
        if isinstance(value, list):
            return [self.data(part) for part in cast("list[Any]", value)]
        if isinstance(value, int | float) and not isinstance(value, bool):
            masked = self.text(str(value))
            return masked if MASK in masked else value
        return value

    def json(self, raw: msgspec.Raw) -> msgspec.Raw:
        """The same for JSON text. Raises msgspec.DecodeError for what is none."""
        text = bytes(raw)
        if not self._hidden or not self._may_show(text):
            return raw
        return msgspec.Raw(_encode(self.data(msgspec.json.decode(text))))

    def _may_show(self, text: bytes) -> bool:
        """Whether it is worth taking apart: texts without escapes show what they hold."""
        plain = text.decode(errors="replace")
        return "\\" in plain or self.text(plain) != plain


def _forms(value: str) -> Iterator[str]:
    if not value:
        return
    yield value
    lines = [line.strip() for line in value.splitlines()]
    yield from (line for line in lines if len(line) >= DISGUISE_CHARS_MIN)
    yield from (form for form in _disguises(value) if len(form) >= DISGUISE_CHARS_MIN)


def _disguises(value: str) -> Iterator[str]:
    data = value.encode(errors="surrogatepass")
    yield from (data.hex(), data.hex().upper())
    yield from (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1])
    for encoded in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            yield _inner(encoded(bytes(before) + data).decode(), before, len(data))


def _percent_encoded(value: str) -> re.Pattern[str]:
    """The value, each of its characters but letters and digits as it is or encoded (RFC 3986, 2.1)."""
    return re.compile("".join(map(_or_encoded, value)))


def _or_encoded(char: str) -> str:
    if char.isascii() and char.isalnum():
        return char
    encoded = quote(char.encode(errors="surrogatepass"), safe="")
    if encoded == char:  # one of `-._~`, which need not be encoded and may be
        encoded = f"%{ord(char):02X}"
    space = r"|\+" if char == " " else ""
    return f"(?:{re.escape(char)}|(?i:{encoded}){space})"


def _inner(encoded: str, before: int, size: int) -> str:
    """The characters of base64 that `size` bytes behind `before` others determine, whatever stands around them."""
    first = -(-before * 8 // 6)
    last = (before + size) * 8 // 6
    return encoded[first:last]
