"""Value paths followed in Python: to their value, or to the place where they lead nowhere.

When an evaluation fails the library names a key at most; people need the whole path.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, cast

from infra.expressions.reading import Chain, Step
from infra.expressions.values import json_scalar

_NO_KEY = re.compile(r'Key not found in map : "?(.*?)"?$', re.DOTALL)
_NO_NAME = re.compile(r'No value with name "(.*?)" found')
_NO_PART = ("Applying SELECT to non-message type", "Invalid container type", "Index error", "expected integer type")


class Missing(NamedTuple):
    """`path` in CEL's notation up to the first step that leads nowhere; `message` is a sentence about it."""

    path: str
    message: str
    step: Step
    is_key: bool


def missing(native: str, chains: Iterable[Chain], bindings: Mapping[str, object]) -> Missing | None:
    """What the library's message is about, looked up in the bindings; None when it is about something else."""
    if no_name := _NO_NAME.search(native):
        return Missing(no_name[1], f"{no_name[1]} has no value here", no_name[1], is_key=True)
    if no_key := _NO_KEY.search(native):
        return _missing_key(no_key[1], chains, bindings)
    if not any(words in native for words in _NO_PART):
        return None
    return next((found for chain in chains if (found := broken(chain, bindings)) and not found.is_key), None)


def _missing_key(key: str, chains: Iterable[Chain], bindings: Mapping[str, object]) -> Missing:
    of_variable: Missing | None = None
    for chain in chains:
        if chain.is_local:
            upto = next((count for count, step in enumerate(chain.steps, start=1) if str(step) == key), None)
            if upto is not None and of_variable is None:
                of_variable = _missing_at(chain, upto)
        elif (found := broken(chain, bindings)) and found.is_key and str(found.step) == key:
            return found
    return of_variable or Missing(key, f'the key "{key}" is missing', key, is_key=True)


def _missing_at(chain: Chain, upto: int) -> Missing:
    path = chain.text(upto)
    return Missing(path, f"{path} is missing", chain.steps[upto - 1], is_key=True)


def broken(chain: Chain, bindings: Mapping[str, object]) -> Missing | None:
    """Where a chain leads to nothing. The last step within `has(…)` may do so."""
    if chain.is_local or chain.name not in bindings:
        return None
    value: Any = bindings[chain.name]
    steps = chain.steps[:-1] if chain.is_tested else chain.steps
    for upto, step in enumerate(steps, start=1):
        if isinstance(value, Mapping):
            mapping = cast("Mapping[object, object]", value)
            if step not in mapping:
                return _missing_at(chain, upto)
            value = mapping[step]
            continue
        path, owner = chain.text(upto), chain.text(upto - 1)
        if not isinstance(value, list) or isinstance(step, str):
            return Missing(path, f"{path} is missing: {owner} is {kind_of(value)}", step, is_key=False)
        items = cast("list[object]", value)
        if step >= len(items):
            return Missing(path, f"{path} is missing: {owner} has {len(items)} items", step, is_key=False)
        value = items[step]
    return None


def follow(chain: Chain, bindings: Mapping[str, object]) -> tuple[bool, object]:
    """Whether the path leads to a value, and that value, as CEL would give it (`now` as text)."""
    if chain.name not in bindings:
        return False, None
    value: Any = bindings[chain.name]
    for step in chain.steps:
        if isinstance(step, int):
            if type(value) is not list or step >= len(value):
                return False, None
        elif not (type(value) is dict or isinstance(value, Mapping)) or step not in value:
            return False, None
        value = cast("Any", value)[step]
    if isinstance(value, datetime):
        return True, json_scalar(value)
    is_lazy = isinstance(value, Mapping) and not isinstance(value, dict)
    return True, dict(cast("Mapping[str, object]", value)) if is_lazy else value


def kind_of(value: object) -> str:
    """CEL's word for the type of a JSON value, with an article."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a bool"
    if isinstance(value, Mapping):
        return "an object"
    for kind, words in ((int, "an int"), (float, "a double"), (str, "a string"), (list, "a list")):
        if isinstance(value, kind):
            return words
    return f"a {type(value).__name__}"
