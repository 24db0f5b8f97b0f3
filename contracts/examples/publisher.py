"""An external system that announces a data set: one CloudEvent on NATS, acknowledged when it is on disk.

It uses nats-py and nothing of FlowForge, as any other program in any language could:

    python contracts/examples/publisher.py --nats URL --folder FOLDER --report FILE

URL is `nats` in FLOWFORGE_HOME/endpoints.json, the login of external systems. Prints the event it published.
"""

import argparse
import asyncio
import csv
import json
import uuid
from pathlib import Path

import nats


def announcement(event_id: str, name: str, folder: Path, report: Path) -> dict[str, object]:
    """The CloudEvent: its `type` is what triggers match, `source` and `id` together are its identity."""
    files = sorted(folder.glob("*.csv"))
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": "/examples/publisher",
        "type": "dataset.published",
        "datacontenttype": "application/json",
        "data": {
            "name": name,
            "format": "csv",
            "folder": str(folder.resolve()),
            "files": len(files),
            "rows": sum(row_count(path) for path in files),
            "report": str(report.resolve()),
        },
    }


def row_count(path: Path) -> int:
    with path.open(newline="", encoding="utf-8") as file:
        return sum(1 for _ in csv.reader(file)) - 1


async def publish(url: str, subject: str, event: dict[str, object]) -> None:
    connection = await nats.connect(url, max_reconnect_attempts=3)
    try:
        await connection.jetstream().publish(subject, json.dumps(event).encode(), timeout=5)
    finally:
        await connection.close()


def main() -> None:
    options = argparse.ArgumentParser(description="Announce a folder of CSV files as a CloudEvent on NATS.")
    options.add_argument("--nats", required=True, help="URL with the login of an external system")
    options.add_argument("--folder", required=True, type=Path)
    options.add_argument("--report", required=True, type=Path, help="where the report shall be written")
    options.add_argument("--name", default="Figures of the United States government")
    options.add_argument("--id", default="", help="the event's id, else a new one; the same again starts nothing twice")
    options.add_argument("--subject", default="flowforge.inbox.datasets")
    given = options.parse_args()
    event = announcement(given.id or str(uuid.uuid4()), given.name, given.folder, given.report)
    asyncio.run(publish(given.nats, given.subject, event))
    print(json.dumps(event))


if __name__ == "__main__":
    main()
