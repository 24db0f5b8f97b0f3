"""Values on their way into CEL and out of it.

In go plain JSON data (dict with text keys, list, str, int, float, bool, None), `now` as an aware datetime, and any
other Mapping in place of an object whose parts are built on demand. Converting them is what an evaluation costs
(1.4 ms for 100 KB of JSON, against 2 µs for the evaluation), so only the parts that the expression names are handed
over.

Out come: int and uint as int, timestamps as RFC 3339 text in UTC with Z, durations as seconds text (`3600s`, `1.500s`),
bytes as base64 text, keys of objects as text (`1`, `true`), sorted. NaN and the infinities are refused, JSON has none.

CEL's ints have 64 bits: a JSON integer from 2^63 to 2^64-1 comes in as uint, which CEL does not mix with int, a larger
one is refused. So are texts with U+0000, which the library would cut there, and lone surrogates.
"""

import base64
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any, cast

import msgspec
from cel_expr_python import cel

from infra.expressions.limits import exploding_bytes_max, result_bytes_max, value_depth_max
from infra.expressions.reading import Step

_SCALARS = frozenset({int, float, bool, type(None)})


class Unfit(ValueError):
    """A value that cannot pass: the text says why, as the rest of a sentence that begins with the value's name."""


@dataclass(slots=True)
class Need:
    """The parts of one binding that an expression reads."""

    is_whole: bool = False
    parts: dict[str, "Need"] = field(default_factory=dict[str, "Need"])

    def add(self, steps: Iterable[Step]) -> None:
        need = self
        for step in steps:
            if not isinstance(step, str):
                break
            need = need.parts.setdefault(step, Need())
        need.is_whole = True


def needed(value: object, need: Need) -> object:
    """`value` without what the expression does not read, checked to be safe for CEL. Raises Unfit."""
    if isinstance(value, Mapping) and not need.is_whole:
        mapping = cast("Mapping[str, object]", value)
        return {key: needed(mapping[key], part) for key, part in need.parts.items() if key in mapping}
    if isinstance(value, Mapping) and not isinstance(value, dict):
        value = dict(cast("Mapping[str, object]", value))
    _check(value)
    return value


def check_exploding(values: Mapping[str, object]) -> None:
    """For expressions that may build a text as long as the product of two of these. Raises Unfit."""
    if len(msgspec.json.encode(values)) > exploding_bytes_max:
        raise Unfit(f"replace() and join() with a computed text read at most {exploding_bytes_max // 1024} KiB in all")


def _check(value: object) -> None:
    if type(value) in _SCALARS:
        return
    if isinstance(value, (dict, list)):
        _check_depth(value)
    try:
        encoded = msgspec.json.encode(value)
    except UnicodeEncodeError:
        raise Unfit("holds a text that is no Unicode (a lone surrogate), which expressions cannot read") from None
    except TypeError as problem:
        raise Unfit(f"is no JSON value: {problem}") from None
    if b"\\u0000" in encoded and _holds_nul(value):
        raise Unfit("holds a text with the character U+0000, which expressions cannot read")


def _check_depth(value: "dict[Any, Any] | list[Any]") -> None:
    level: list[Any] = [value]
    for _ in range(value_depth_max):
        level = [part for whole in level for part in _parts(whole) if type(part) in (dict, list)]
        if not level:
            return
    raise Unfit(f"is nested more than {value_depth_max} levels deep")


def _parts(value: "dict[Any, Any] | list[Any]") -> Iterable[Any]:
    return value.values() if type(value) is dict else value


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any("\0" in str(key) or _holds_nul(part) for key, part in value.items())
    return isinstance(value, list) and any(map(_holds_nul, value))


def timestamp_text(value: datetime) -> str:
    """RFC 3339 in UTC with 0, 3 or 6 digits of a second, as CEL's `string()` gives it. A naive time counts as UTC."""
    moment = value.astimezone(UTC) if value.tzinfo else value
    text = f"{moment.year:04d}-{moment:%m-%dT%H:%M:%S}"
    return text + _fraction(moment.microsecond) + "Z"


def duration_text(value: timedelta) -> str:
    """Seconds with 0, 3 or 6 digits after the point and `s`, as CEL's `string()` gives it."""
    microseconds = value // timedelta(microseconds=1)
    seconds, rest = divmod(abs(microseconds), 1_000_000)
    return f"{'-' if microseconds < 0 else ''}{seconds}{_fraction(rest)}s"


def _fraction(microseconds: int) -> str:
    if not microseconds:
        return ""
    return f".{microseconds // 1000:03d}" if microseconds % 1000 == 0 else f".{microseconds:06d}"


def json_scalar(value: object) -> object:
    """One CEL value that holds no others as JSON data. Raises Unfit."""
    if isinstance(value, float) and not math.isfinite(value):
        raise Unfit(f"is {_NOT_FINITE.get(str(value), 'not a number')}, which JSON cannot hold")
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, datetime):
        return timestamp_text(value)
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if isinstance(value, cel.Type):
        raise Unfit("is a type; types can be compared (`type(x) == int`) but are no JSON value")
    raise Unfit("is no JSON value")


_NOT_FINITE = {"nan": "not a number (NaN)", "inf": "infinite", "-inf": "infinite"}


def json_of(value: cel.Value, *, carefully: bool) -> object:
    """The result of an evaluation as JSON data. Raises Unfit.

    `carefully` converts step by step within the limit, for results that may be much larger than what went in; the
    other way is 30 times faster for large results.
    """
    if carefully:
        return _Converter(_value_parts).convert(value)
    return _Converter(_plain_parts).convert(value.plain_value())


def _value_parts(value: Any) -> Any:
    if value.type() == cel.Type.ERROR:
        raise Unfit("holds an optional value: end it with .orValue(…)" if _is_optional(value) else "holds an error")
    return value.value()


def _plain_parts(value: Any) -> Any:
    return value


def _is_optional(value: cel.Value) -> bool:
    try:
        value.value()
    except TypeError:
        return True
    return False


class _Converter:
    def __init__(self, open_value: Callable[[Any], Any]) -> None:
        self._open = open_value
        self._bytes = 0

    def convert(self, closed: Any) -> object:
        value = self._open(closed)
        if isinstance(value, dict):
            return self._object(value)
        if isinstance(value, list):
            self._count(len(value))
            return [self.convert(part) for part in value]
        scalar = json_scalar(value)
        self._count(len(scalar) + 2 if isinstance(scalar, str) else 4)
        return scalar

    def _object(self, value: dict[Any, Any]) -> dict[str, object]:
        parts = sorted(((_key_text(key), part) for key, part in value.items()), key=itemgetter(0))
        found = {key: self.convert(part) for key, part in parts}
        if len(found) < len(value):
            raise Unfit("is an object with two keys that are the same as text")
        self._count(sum(map(len, found)) + 4 * len(found))
        return found

    def _count(self, count: int) -> None:
        self._bytes += count
        if self._bytes > result_bytes_max:
            raise Unfit(f"is larger than {result_bytes_max // 1024 // 1024} MiB")


def _key_text(key: object) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    return str(key)
