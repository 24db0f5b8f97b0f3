"""Signs and colours of states, the same everywhere; every state has its own sign, so none rests on colour alone."""

import time
from datetime import UTC, datetime, timedelta

from rich.console import Console
from rich.text import Text

STYLES: dict[str, str] = {
    "idle": "dim", "pending": "dim", "queued": "blue", "running": "cyan", "waiting": "yellow", "paused": "yellow",
    "completed": "green", "failed": "red", "partial": "yellow", "cancelled": "magenta", "skipped": "dim",
    "ok": "green", "warning": "yellow", "error": "red",
}  # fmt: skip
SPINNER_FRAMES_PER_S = 10


class Glyphs:
    """What to draw with on this console: Unicode, or ASCII where the console cannot show it."""

    def __init__(self, unicode: bool = True) -> None:
        self.unicode = unicode
        self.states = _UNICODE_STATES if unicode else _ASCII_STATES
        self.spinner = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏" if unicode else "|/-\\"
        self.branch, self.last, self.pipe = ("├ ", "└ ", "│ ") if unicode else ("|- ", "`- ", "|  ")
        self.first = "┌ " if unicode else ",- "
        self.gap, self.dot, self.cut = ("⋮", " · ", "…") if unicode else (":", " - ", "...")

    def state(self, status: str, moving: bool = False) -> Text:
        """The sign of a state; of a running one that is drawn again and again, a frame of the spinner."""
        sign = self.states.get(status, "?")
        if moving and status == "running":
            sign = self.spinner[int(time.monotonic() * SPINNER_FRAMES_PER_S) % len(self.spinner)]
        return Text(sign, STYLES.get(status, ""))

    def bar(self, share: float, width: int, style: str = "cyan") -> Text:
        """A bar of `width` cells, `share` (0 to 1) of it done."""
        share = min(max(share, 0.0), 1.0)
        full, half, rest = ("━", "╸", "─") if self.unicode else ("#", "", ".")
        halves = int(share * width * 2)
        done = full * (halves // 2) + (half if halves % 2 else "")
        return Text.assemble((done, style), (rest * (width - len(done)), "bright_black"))


_UNICODE_STATES = {
    "idle": "○", "pending": "○", "queued": "◌", "running": "●", "waiting": "◔", "paused": "◫", "completed": "✔",
    "failed": "✘", "partial": "◑", "cancelled": "■", "skipped": "–", "ok": "✔", "warning": "!", "error": "✘",
}  # fmt: skip
_ASCII_STATES = {
    "idle": ".", "pending": ".", "queued": "q", "running": "*", "waiting": "w", "paused": "p", "completed": "+",
    "failed": "x", "partial": "%", "cancelled": "#", "skipped": "-", "ok": "+", "warning": "!", "error": "x",
}  # fmt: skip


def glyphs_for(console: Console) -> Glyphs:
    """The signs this console can show."""
    return Glyphs(unicode=console.encoding.lower().startswith("utf"))


def ago(at: str | None) -> str:
    """How long ago a time (RFC 3339) was, in the largest unit that says something."""
    if not at:
        return ""
    seconds = max((datetime.now(UTC) - datetime.fromisoformat(at)).total_seconds(), 0)
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def duration(span: timedelta | float | None) -> str:
    """A span (seconds where it is a number) as people say it: `40 ms`, `4.1 s`, `3 m 05 s`, `2 h 10 m`."""
    if span is None:
        return ""
    seconds = max(span.total_seconds() if isinstance(span, timedelta) else span, 0.0)
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, whole = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} m {whole:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} m" if hours < 48 else f"{hours // 24} d {hours % 24} h"
