"""Those who want run events posted to them: who is paused, who fails, how much they are owed."""

from typing import Any

from services.cli.connect import Session
from services.cli.doctor import Check, several
from services.cli.output import Failure

LISTED_MAX = 1_000
NAMED_MAX = 3


async def receivers(session: Session) -> list[Check]:
    """Whether those who want to be told of runs are; a server that is away is told elsewhere."""
    try:
        async with session.client() as client:
            items = (await client.subscriptions(limit=LISTED_MAX))["items"]
    except Failure:
        return []
    return [_told(items)]


def _told(items: list[dict[str, Any]]) -> Check:
    paused = [item for item in items if item["paused"] and item["paused"]["reason"] != "by_hand"]
    failing = [item for item in items if item["deliveries"]["failing_since"] and not item["paused"]]
    if paused:
        seen = "; ".join(f"{item['id']} is paused: {item['paused']['detail']}" for item in paused[:NAMED_MAX])
        return Check(
            name="subscriptions", verdict="warning", seen=seen,
            why="nothing is posted; what they are owed stands in the log",
            next_step=f"mend the receiver, then: flowforge subscriptions resume {paused[0]['id']}",
        )  # fmt: skip
    if failing:
        seen = "; ".join(f"{item['id']} fails: {item['deliveries']['last_error']}" for item in failing[:NAMED_MAX])
        return Check(
            name="subscriptions", verdict="warning", seen=seen, why="each post is tried again for a day",
            next_step=f"see what it answered: flowforge subscriptions deliveries {failing[0]['id']}",
        )  # fmt: skip
    owed = sum(item["deliveries"]["pending"] for item in items)
    return Check(
        name="subscriptions", verdict="ok", seen=f"{len(items)}, {several(owed, 'delivery', 'deliveries')} owed"
    )
