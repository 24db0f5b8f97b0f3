"""Reading at scale: read models rebuilt from a long log, and every list with a million runs in the store (issue 5).

Run by `make bench` as a section of its own, or alone: `python tests/bench/reading.py`. It runs on a Postgres of its own
with the settings that `up` uses. The log of the rebuild is made of runs as execution writes them, many at once; the
million runs are written straight into the read models, since only reading them is measured.
"""

import argparse
import asyncio
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import msgspec
import uvloop
from flowforge.events import (
    Cause,
    Event,
    EventReceived,
    NodeCompleted,
    NodeQueued,
    NodeStarted,
    RunCompleted,
    RunStarted,
    TriggerRef,
    WorkflowCreated,
    WorkflowTriggered,
    encode,
)
from flowforge.identity import derived_uuid, event_id, named_stream

from infra.embedded import postgres as embedded_postgres
from infra.embedded.account import make_traversable, unprivileged
from infra.embedded.ports import free_port
from infra.embedded.process import spawn
from infra.eventlog import Append, NewEvent, PostgresEventLog, StreamAppend
from infra.eventlog.migrate import migrate

sys.path.insert(0, str(Path(__file__).parent))
import lists
from figures import Figure, at_least, at_most, say
from system import workflow

ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
START_WAIT_S = 30.0
RUNS_COUNT = 40_000
AT_ONCE_COUNT = 400
"""Runs under way at the same time: so far apart are the events of one run."""
STEPS = ((0, 2), (2, 4), (4, 5), (5, 7), (7, 8), (8, 10), (10, 12))
"""Which events of a run are logged together, as execution does: a report and what follows from it."""
REBUILDS_COUNT = 3
START = datetime(2026, 1, 1, tzinfo=UTC)
NODES = ("extract", "transform", "load")


# --- a server and a log -----------------------------------------------------------------------------------------------


@asynccontextmanager
async def database(home: Path) -> AsyncGenerator[str]:
    """A Postgres of its own, started as `up` starts it; the URL of its migrated database with the services' login."""
    log, password = home / "postgres.log", secrets.token_hex(16)
    folder, port = embedded_postgres.PostgresFolder(home / "postgres", unprivileged()), free_port()
    folder.make_ready_for_account()
    initdb = folder.initdb_command(folder.write_password_file(password))
    made = spawn(initdb, env=ENVIRONMENT, log=log, account=folder.account, cwd=folder.folder)
    await asyncio.to_thread(made.wait)
    server = spawn(folder.server_command(port), env=ENVIRONMENT, log=log, account=folder.account, cwd=folder.folder)
    try:
        async with asyncio.timeout(START_WAIT_S):
            while not folder.is_ready(server.pid):
                await asyncio.sleep(0.02)
        owner = embedded_postgres.login_url(port, embedded_postgres.OWNER, password, "postgres")
        await migrate(owner, service_password=password, reader_password=password, namespace="flowforge")
        yield owner.replace(f"//{embedded_postgres.OWNER}:", "//flowforge_service:")
    finally:
        server.terminate()
        await asyncio.to_thread(server.wait)


def definition(name: str) -> msgspec.Raw:
    whole = workflow(name, list(NODES), list(pairwise(NODES)))
    return msgspec.Raw(msgspec.json.encode(whole))


def run_events(run_id: UUID, workflow_id: str, number: int, cause: Cause) -> list[Event]:
    """A run of three jobs, 12 events."""
    output = msgspec.Raw(b'{"rows": %d, "path": "s3://lake/out/%d.parquet"}' % (number % 1000, number))
    first = WorkflowTriggered(
        run_id=run_id,
        workflow_id=workflow_id,
        workflow_version=1,
        trigger=TriggerRef("event", "on-order"),
        trigger_version=1,
        cause=cause,
        input_data=msgspec.Raw(b'{"order": {"id": %d, "region": "eu"}}' % number),
        labels={"team": f"t{number % 7}"},
    )
    events: list[Event] = [first, RunStarted(total_nodes=len(NODES))]
    before = ""
    for node in NODES:
        job = derived_uuid(START, "job", run_id, node)
        events += [
            NodeQueued(node_id=node, job_id=job, job_type="work", queue="default", input_from=before),
            NodeStarted(node_id=node, worker="w1"),
            NodeCompleted(node_id=node, output=output),
        ]
        before = node
    return [*events, RunCompleted(output=output)]


async def history(log: PostgresEventLog, runs_count: int) -> int:
    """Log so many runs, many at once; how many events that were."""
    workflows = [f"orders-{number:02d}" for number in range(20)]
    for name in workflows:
        event = WorkflowCreated(workflow_id=name, workflow_version=1, definition=definition(name))
        stream = StreamAppend(
            "workflow", named_stream("workflow", name), 0, [NewEvent("WorkflowCreated", encode(event))]
        )
        await log.append([Append([stream], recorded_at=START, actor="ada", changes_definitions=True)])
    for first in range(0, runs_count, AT_ONCE_COUNT):
        await _log_together(log, workflows, range(first, min(first + AT_ONCE_COUNT, runs_count)))
    return (await log.head()).position


async def _log_together(log: PostgresEventLog, workflows: list[str], numbers: range) -> None:
    at = START + timedelta(milliseconds=numbers.start * 20)
    causes: list[Append] = []
    runs: list[tuple[UUID, list[NewEvent]]] = []
    for number in numbers:
        fact = EventReceived(id=f"o-{number}", source="/shop", type="order", data=msgspec.Raw(b'{"id": %d}' % number))
        stream = derived_uuid(at, "cause", number)
        causes.append(Append([StreamAppend("cause", stream, 0, [NewEvent("EventReceived", encode(fact))])], at))
        cause = Cause(event_id=event_id(stream, 1, at), type="order", id=fact.id, source="/shop", stream_id=stream)
        run_id, name = derived_uuid(at, "run", number), workflows[number % len(workflows)]
        events = run_events(run_id, name, number, cause)
        runs.append((run_id, [NewEvent(type(event).__name__, encode(event)) for event in events]))
    await log.append(causes)
    for begin, end in STEPS:
        at += timedelta(milliseconds=500)
        await log.append(
            [Append([StreamAppend("run", run_id, begin, events[begin:end])], at) for run_id, events in runs]
        )


# --- rebuilding -------------------------------------------------------------------------------------------------------


async def rebuilt(dsn: str) -> float:
    """Events a second, as `flowforge rebuild` tells them."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.projections", "rebuild", "--json",
        env={**ENVIRONMENT, "FLOWFORGE_DATABASE_URL": dsn}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"rebuild failed: {output.decode()}")
    said = msgspec.json.decode(output.splitlines()[-1])
    return said["position"] / said["took_s"]


async def rebuilding(home: Path, runs_count: int) -> Iterator[Figure]:
    async with database(home) as dsn:
        began = time.perf_counter()
        async with await PostgresEventLog.connect(dsn) as log:
            count = await history(log, runs_count)
        say(f"  {count:,} events logged in {time.perf_counter() - began:.1f} s")
        rates = [await rebuilt(dsn) for _ in range(REBUILDS_COUNT)]
        say(f"  rebuilt at {', '.join(f'{rate:,.0f}' for rate in rates)} events/s")
    return iter([at_least("read models rebuilt from a long log", max(rates), 50_000, "events/s")])


async def listing(home: Path, runs_count: int) -> Iterator[Figure]:
    async with database(home) as dsn:
        began = time.perf_counter()
        cause = Cause(event_id=UUID(int=1), type="order", id="o-1", source="/shop", stream_id=UUID(int=1))
        run = run_events(UUID(int=2), "w-0007", 1, cause)
        await lists.fill(dsn, START, bytes(definition("w")).decode(), runs_count, run)
        say(f"  {runs_count:,} runs in the store after {time.perf_counter() - began:.0f} s")
        async with lists.serving(dsn) as client:
            name, p95 = await lists.slowest_p95(client, [*lists.ASKED, *lists.at_moments(runs_count, START)])
            _, labelled = await lists.slowest_p95(client, lists.BY_OLD_LABEL)
        await asyncio.to_thread(lists.PLANS.write_text, await lists.plans(dsn, runs_count))
    return iter(
        [
            at_most(f"every list with {runs_count:,} runs, the slowest p95 ({name})", p95, 30, "ms", 1),
            Figure(
                "… by a label that 50,000 old runs have, and a status that none of these has",
                f"{labelled:.0f} ms",
                "",
                is_met=True,
            ),
        ]
    )


async def measure(home: Path, runs_count: int = RUNS_COUNT, listed_count: int = lists.RUNS_COUNT) -> list[Figure]:
    await asyncio.to_thread(home.mkdir, parents=True, exist_ok=True)
    make_traversable(home / "any")
    say("rebuilding")
    figures = [*await rebuilding(home / "rebuilding", runs_count)]
    say("lists")
    return [*figures, *await listing(home / "lists", listed_count)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS_COUNT)
    parser.add_argument("--listed", type=int, default=lists.RUNS_COUNT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="flowforge-reading-") as folder:
        figures = uvloop.run(measure(Path(folder), options.runs, options.listed))
    for figure in figures:
        say(f"{figure.name}: {figure.value} ({figure.limit})")
    return 0 if all(figure.is_met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
