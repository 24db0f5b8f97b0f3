"""Named points where a test can make a process die or fail, armed by environment; nothing at all when not armed.

`FLOWFORGE_FAILPOINTS="triggers.after_append=die@3;projections.in_transaction=error"`: at the third passage of the first
point the process ends as if killed, at the first passage of the second an error is raised. A point fires once per
process; with `FLOWFORGE_FAILPOINTS_ONCE` naming a folder, once ever, as a marker is left there before it fires.
With `FLOWFORGE_FAILPOINTS_FILE` naming a file instead, what it says when the process starts is armed: so one service
of a running system is armed by writing its file and starting it anew. Tests know every point by searching the sources.
A deed that is done and yet reported as failed is a point after that deed, with `error`.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import msgspec

Action = Literal["die", "error"]
KILLED_EXIT_STATUS = 137


class FailpointError(Exception):
    """The failpoint of that name was armed with `error` and fired."""


class _Armed(msgspec.Struct):
    action: Action
    fires_at: int
    passages_count: int = 0


class Failpoints:
    """The points that are armed in this process, and how often each was passed."""

    def __init__(self, armed: str, once_folder: Path | None, die: Callable[[int], object] = os._exit) -> None:
        self._points = _parse(armed)
        self._once_folder = once_folder
        self._die = die

    @classmethod
    def of_environment(cls, environment: Mapping[str, str]) -> "Failpoints":
        """The points that the environment arms. Raises ValueError when they cannot be read."""
        once_folder = environment.get("FLOWFORGE_FAILPOINTS_ONCE")
        return cls(_armed_text(environment), Path(once_folder) if once_folder else None)

    @property
    def are_armed(self) -> bool:
        """Whether any point is."""
        return bool(self._points)

    def passed(self, name: str) -> None:
        """Pass the point: die, raise FailpointError, or (nearly always) nothing."""
        point = self._points.get(name)
        if point is None:
            return
        point.passages_count += 1
        if point.passages_count != point.fires_at or not self._is_first_ever(name):
            return
        if point.action == "die":
            self._die(KILLED_EXIT_STATUS)
        raise FailpointError(f"failpoint {name} fired")

    def _is_first_ever(self, name: str) -> bool:
        if self._once_folder is None:
            return True
        self._once_folder.mkdir(parents=True, exist_ok=True)
        try:
            (self._once_folder / name).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


def _armed_text(environment: Mapping[str, str]) -> str:
    file = environment.get("FLOWFORGE_FAILPOINTS_FILE")
    if file is None:
        return environment.get("FLOWFORGE_FAILPOINTS", "")
    try:
        return Path(file).read_text()
    except FileNotFoundError:
        return ""


def _parse(armed: str) -> dict[str, _Armed]:
    points: dict[str, _Armed] = {}
    for part in filter(None, (part.strip() for part in armed.split(";"))):
        name, _, deed = part.partition("=")
        action, _, fires_at = deed.partition("@")
        if action not in ("die", "error") or not (fires_at or "1").isdigit():
            raise ValueError(f"FLOWFORGE_FAILPOINTS: '{part}' is not <point>=die|error[@passage]")
        points[name.strip()] = _Armed(action, int(fires_at or "1"))
    return points


def _nothing(_name: str) -> None:
    return


_failpoints = Failpoints.of_environment(os.environ)

failpoint: Callable[[str], None] = _failpoints.passed if _failpoints.are_armed else _nothing
"""Pass the point of that name."""
