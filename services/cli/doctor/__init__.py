"""What `flowforge doctor` looks at: `here` (this machine), `servers` (Postgres and NATS), `services` (processes, and who is
behind), `work` (runs, jobs and triggers that do not get on), `receivers` (of subscriptions), `kept` (archives). A look that
fails is a finding, never the end of the others."""

from datetime import UTC, datetime
from typing import Literal

import msgspec

Verdict = Literal["ok", "warning", "error"]
ANSWER_TIMEOUT_S = 3


class Check(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One thing looked at: its verdict and what was seen. Where it is not well: since when, why that matters, and the
    command that mends it."""

    name: str
    verdict: Verdict
    seen: str = ""
    since: datetime | None = None
    why: str = ""
    next_step: str = ""


def ago_s(since: datetime) -> float:
    """Seconds since then."""
    return max((datetime.now(UTC) - since).total_seconds(), 0.0)


def several(count: int, one: str, many: str = "") -> str:
    """`1 run`, `2 runs`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
