"""The lines of the results."""

import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One line of the results. `limit` is what was promised; `is_met` whether it was kept."""

    name: str
    value: str
    limit: str
    is_met: bool


def at_least(name: str, value: float, limit: float, unit: str, digits: int = 0) -> Figure:
    return Figure(name, f"{value:,.{digits}f} {unit}", f"at least {limit:,g} {unit}", value >= limit)


def at_most(name: str, value: float, limit: float, unit: str, digits: int = 2) -> Figure:
    return Figure(name, f"{value:,.{digits}f} {unit}", f"at most {limit:,g} {unit}", value <= limit)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
