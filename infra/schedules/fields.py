"""The fields of a cron expression, each read on its own so that a fault can name the one it is in.

The language is that of Debian's crontab(5): `*`, values, names, ranges, steps (also `5/15`: from 5 on) and lists, with
`L` (last day of the month), `LW` (its last Monday to Friday), `5L` (its last Friday) and `MON#2` (its second Monday).
"""

import msgspec

from infra.schedules.faults import ScheduleFault


class FieldKind(msgspec.Struct, frozen=True):
    """One place of an expression: values from `low` to `high`; `names[i]` stands for `low + i`."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()


SECOND = FieldKind("second", 0, 59)
MINUTE = FieldKind("minute", 0, 59)
HOUR = FieldKind("hour", 0, 23)
DAY_OF_MONTH = FieldKind("day of month", 1, 31)
MONTH = FieldKind("month", 1, 12, ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"))
DAY_OF_WEEK = FieldKind("day of week", 0, 7, ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"))

_ALLOWED_BESIDES = {
    "day of month": ", L (last day) and LW (last Monday to Friday)",
    "month": " and JAN to DEC",
    "day of week": " (0 and 7 are Sunday), SUN to SAT, 5L (last Friday) and MON#2 (second Monday)",
}
_OCCURRENCES_MAX = 5  # of one weekday in a month


class FieldValues(msgspec.Struct, frozen=True):
    """What a field allows.

    `values` are plain ones, ascending (days of the week as written: 0 and 7 are Sunday). `nth` are pairs (day of week,
    1 to 5), `last_weekdays` the days of the week whose last one in a month is meant. `is_starred`: the text begins
    with `*`, which is what Debian's cron asks where it treats a wildcard in a special way.
    """

    values: tuple[int, ...]
    is_starred: bool
    nth: tuple[tuple[int, int], ...] = ()
    last_weekdays: tuple[int, ...] = ()
    last_day: bool = False
    last_working_day: bool = False


def read_field(kind: FieldKind, text: str) -> FieldValues:
    """The values of a field; `text` is in capitals. Raises ScheduleFault, which names the field and what it allows."""
    values: set[int] = set()
    nth: set[tuple[int, int]] = set()
    last_weekdays: set[int] = set()
    days = {"L": False, "LW": False}
    for term in text.split(","):
        if kind is DAY_OF_MONTH and term in days:
            days[term] = True
        elif kind is DAY_OF_WEEK and "#" in term:
            nth.add(_nth(text, term))
        elif kind is DAY_OF_WEEK and term.endswith("L") and term[:-1].isdigit():
            last_weekdays.add(_value(kind, text, term[:-1]))
        else:
            values.update(_plain(kind, text, term))
    return FieldValues(
        values=tuple(sorted(values)),
        is_starred=text.startswith("*"),
        nth=tuple(sorted(nth)),
        last_weekdays=tuple(sorted(last_weekdays)),
        last_day=days["L"],
        last_working_day=days["LW"],
    )


def _nth(text: str, term: str) -> tuple[int, int]:
    weekday, _, occurrence = term.partition("#")
    if not _is_number(occurrence) or not 1 <= int(occurrence) <= _OCCURRENCES_MAX:
        raise _fault(DAY_OF_WEEK, text, f"after `#` comes a number from 1 to {_OCCURRENCES_MAX}, not `{occurrence}`")
    return _value(DAY_OF_WEEK, text, weekday), int(occurrence)


def _plain(kind: FieldKind, text: str, term: str) -> range:
    span, slash, step_text = term.partition("/")
    if slash and not (_is_number(step_text) and int(step_text) > 0):
        raise _fault(kind, text, f"the step after `/` is a whole number from 1 on, not `{step_text}`")
    step = int(step_text) if slash else 1
    if span == "*":
        return range(kind.low, kind.high + 1, step)
    first_text, dash, last_text = span.partition("-")
    first = _value(kind, text, first_text)
    if dash:
        last = _value(kind, text, last_text)
        if last < first:
            raise _backwards(kind, text, span, first_text, last_text)
    else:
        last = kind.high if slash else first
    return range(first, last + 1, step)


def _value(kind: FieldKind, text: str, written: str) -> int:
    if written in kind.names:
        return kind.low + kind.names.index(written)
    if not _is_number(written):
        raise _fault(kind, text, f"`{written}` is no value" if written else "a value is missing", _advice(written))
    if not kind.low <= int(written) <= kind.high:
        raise _fault(kind, text, f"{written} is out of range")
    return int(written)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _advice(written: str) -> str:
    return "write * for any value" if written == "?" else ""


def _backwards(kind: FieldKind, text: str, span: str, first: str, last: str) -> ScheduleFault:
    end = kind.names[-1] if kind.names else str(kind.high)
    begin = kind.names[0] if kind.names else str(kind.low)
    upper = first if first == end else f"{first}-{end}"
    lower = last if last == begin else f"{begin}-{last}"
    return _fault(kind, text, f"the range `{span}` runs backwards", f"write it as {upper},{lower}")


def _fault(kind: FieldKind, text: str, problem: str, suggestion: str = "") -> ScheduleFault:
    allowed = f"{kind.low} to {kind.high}{_ALLOWED_BESIDES.get(kind.name, '')}"
    return ScheduleFault("cron", f"the {kind.name} field `{text}`: {problem}; allowed are {allowed}", suggestion)
