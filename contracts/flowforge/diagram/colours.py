"""How a box looks by its node's status: (fill, border, text). The fills are opaque and pale, so that dark text is readable
on them whatever is behind; arrows and titles are of a grey that shows on white and on black."""

from typing import NamedTuple


class Look(NamedTuple):
    """Colours of a box."""

    fill: str
    border: str
    text: str


LINE = "#868e9c"
FAILURE_LINE = "#d9534f"
NEUTRAL = Look("#eef1f6", "#8a94a6", "#1f2733")
BY_STATUS: dict[str, Look] = {
    "idle": Look("#f6f7f9", "#b3bac5", "#4b5563"),
    "pending": Look("#f6f7f9", "#b3bac5", "#4b5563"),
    "queued": Look("#e3ecfb", "#7ea3dd", "#1d3557"),
    "running": Look("#cfe1ff", "#2f6fde", "#0b2a5c"),
    "waiting": Look("#fff0c9", "#d09a1c", "#4f3a00"),
    "paused": Look("#fff0c9", "#d09a1c", "#4f3a00"),
    "completed": Look("#d6f3df", "#2f9e58", "#0c3b1e"),
    "partial": Look("#e6f0cf", "#7f9a2b", "#33400a"),
    "failed": Look("#fddcda", "#cf3b34", "#5c1310"),
    "cancelled": Look("#e9e0f0", "#8e6aa8", "#3d2350"),
    "skipped": Look("#f3f4f6", "#b9bec8", "#6b7280"),
}


def look(status: str | None) -> Look:
    """The colours of a status, neutral ones for none."""
    return NEUTRAL if status is None else BY_STATUS.get(status, NEUTRAL)
