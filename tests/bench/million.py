"""A million triggers and ten thousand schedules: what they cost, and what an event then waits for (issue 3, scale).

Run by `make bench` as a section of its own, or alone: `python tests/bench/million.py`. The index by itself is measured
in a process of its own, ours with a thousand triggers and with a million taking turns; everything else on a whole
system, whose log is given the definitions as catalog writes them.
"""

import argparse
import asyncio
import gc
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import psutil
import uvloop
from flowforge.definition import parse
from flowforge.envelope import decode_external
from flowforge.events import WorkflowCreated, decode, encode
from flowforge.identity import named_stream

from infra.eventlog import Append, Appended, MemoryEventLog, NewEvent, PostgresEventLog, StreamAppend
from services.triggers.cause import ReceivedCause
from services.triggers.decide import Deciding, decide_received
from services.triggers.index import Index
from services.triggers.ledger import Ledger
from services.triggers.recalling import Recalled

sys.path.insert(0, str(Path(__file__).parent))
from figures import Figure, at_most, say
from system import Bench, running, service_environment, workflow

TRIGGERS_COUNT = 1_000_000
FEW_COUNT = 1_000
PER_WORKFLOW_COUNT = 10
MATCHING_COUNT = 10
"""Triggers that wait for the same customer, and so start together."""
EVENTS_COUNT = 2_000
LOG_BATCH_COUNT = 1_000
STARTS_COUNT = 200
ADDED_COUNT = 30
SCHEDULES_COUNT = 10_000
SCHEDULES_LEAD_S = 8.0
"""From writing ten thousand schedules to the second in which they are due."""
LATENESS_S = 30.0
LATENESS_EVERY_MS = 100
WAIT_S = 120.0


# --- what is written --------------------------------------------------------------------------------------------------


def many_triggers(triggers_count: int) -> Iterator[tuple[str, bytes]]:
    """Workflow ids, each with its `WorkflowCreated`: filters on one customer of many, an amount, an input."""
    customers_count = triggers_count // MATCHING_COUNT
    for number in range(0, triggers_count, PER_WORKFLOW_COUNT):
        definition = one_job(f"w-{number // PER_WORKFLOW_COUNT:06d}")
        definition["triggers"] = [
            on_customer(f"on-order-{place}", (number + place) % customers_count, (number + place) % 97)
            for place in range(PER_WORKFLOW_COUNT)
        ]
        yield definition["id"], created(definition)


def on_customer(trigger_id: str, customer: int, amount: int) -> dict[str, Any]:
    return {
        "id": trigger_id,
        "type": "event",
        "config": {
            "event_type": "order.placed",
            "source": "/shop",
            "filter": f'event.data.customer == "c-{customer}" && event.data.amount > {amount}',
        },
        "input": {"customer": "${event.data.customer}", "amount": "${event.data.amount}"},
    }


def one_job(name: str) -> dict[str, Any]:
    definition = workflow(name, ["work"], [])
    definition["nodes"][0] |= {"description": "x" * 200, "payload": {"order": "${input}", "note": "y" * 200}}
    return definition


def many_schedules(due_at: datetime) -> Iterator[tuple[str, bytes]]:
    cron = f"{due_at.second} {due_at.minute} {due_at.hour} {due_at.day} {due_at.month} *"
    for number in range(SCHEDULES_COUNT):
        definition = one_transform(f"s-{number:05d}")
        definition["triggers"] = [{"id": "due", "type": "schedule", "config": {"cron": cron, "timezone": "UTC"}}]
        yield definition["id"], created(definition)


def one_transform(name: str) -> dict[str, Any]:
    return {
        "id": name,
        "name": name,
        "nodes": [{"id": "work", "type": "data_transform", "expressions": {"at": "${now}"}}],
    }


def created(definition: dict[str, Any]) -> bytes:
    text = msgspec.Raw(msgspec.json.encode(definition))
    return encode(WorkflowCreated(workflow_id=definition["id"], workflow_version=1, definition=text))


async def written(bench: Bench, definitions: Iterator[tuple[str, bytes]]) -> None:
    """Into the log, as catalog does, but many in one group."""
    log = await PostgresEventLog.connect(service_environment(bench.cluster)["FLOWFORGE_DATABASE_URL"])
    try:
        while batch := list(islice(definitions, LOG_BATCH_COUNT)):
            _, faults = parse(json.loads(batch[0][1])["definition"])
            assert not faults, faults
            streams = [
                StreamAppend("workflow", named_stream("workflow", name), 0, [NewEvent(WorkflowCreated.__name__, data)])
                for name, data in batch
            ]
            [answer] = await log.append([Append(streams, datetime.now(UTC), changes_definitions=True)])
            assert isinstance(answer, Appended), answer
    finally:
        await log.close()


def order(customer: int, number: int) -> bytes:
    data = {"customer": f"c-{customer}", "amount": 500, "lines": [{"sku": "a-1", "count": 2}]}
    return json.dumps(
        {"specversion": "1.0", "id": f"order-{number}", "source": "/shop", "type": "order.placed", "data": data}
    ).encode()


# --- the index alone --------------------------------------------------------------------------------------------------


def measure_index() -> dict[str, float]:
    """Microseconds per event with few and with many triggers, in turn, each event for another customer; bytes."""
    few, many = filled(FEW_COUNT), Index()
    gc.collect()
    before = psutil.Process().memory_info().rss
    many = filled(TRIGGERS_COUNT)
    gc.collect()
    held = psutil.Process().memory_info().rss - before
    gc.freeze()
    ledger, recalled = Ledger(MemoryEventLog()), Recalled(MemoryEventLog(), "bench")
    chosen = random.Random(20261125)
    times: dict[str, list[float]] = {"few": [], "many": []}
    for number in range(EVENTS_COUNT):
        for name, index, count in (("few", few, FEW_COUNT), ("many", many, TRIGGERS_COUNT)):
            body = order(chosen.randrange(count // MATCHING_COUNT), number)
            cause = ReceivedCause(decode_external(body), body, datetime.now(UTC))
            start = time.perf_counter()
            deciding = Deciding(ledger, recalled, recalled.cause, cause.recorded_at)
            decided = decide_received(deciding, index.candidates(cause), cause)
            times[name].append((time.perf_counter() - start) * 1e6)
            assert len(decided.runs) == MATCHING_COUNT, decided
    return {
        "few_us": statistics.median(times["few"]),
        "many_us": statistics.median(times["many"]),
        "bytes": held / TRIGGERS_COUNT,
    }


def filled(count: int) -> Index:
    index = Index()
    for position, (workflow_id, data) in enumerate(many_triggers(count), 1):
        index.apply(workflow_id, decode(WorkflowCreated.__name__, data), 1, position)  # type: ignore[arg-type]
    return index


async def index_alone() -> list[Figure]:
    process = await asyncio.create_subprocess_exec(sys.executable, __file__, "--index", stdout=subprocess.PIPE)
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError("the index could not be measured")
    found = json.loads(output)
    say(f"  {found['few_us']:.0f} µs with {FEW_COUNT:,} triggers, {found['many_us']:.0f} µs with {TRIGGERS_COUNT:,}")
    return [
        Figure(
            f"an event decided that 10 of {TRIGGERS_COUNT:,} triggers match", f"{found['many_us']:.0f} µs", "", True
        ),
        at_most(f"… against {FEW_COUNT:,} triggers, 10 of which match", found["many_us"] / found["few_us"], 3, "×"),
        at_most("memory per trigger, the index alone", found["bytes"], 1024, "bytes", 0),
    ]


# --- a whole system with a million triggers ---------------------------------------------------------------------------


def held_bytes(bench: Bench) -> int:
    """Memory of the trigger service."""
    return psutil.Process(bench.cluster.pid("triggers")).memory_info().rss


async def loaded(bench: Bench) -> list[Figure]:
    """Written, read by a trigger service that starts, events decided, triggers added."""
    await bench.save(one_job_for("alone"))
    await bench.seconds_of_one("alone")
    killed = bench.cluster.kill("triggers")
    await bench.cluster.wait_ready("triggers", after=killed)
    await bench.seconds_of_one("alone")
    empty = held_bytes(bench)
    without = await bench.milliseconds_to_start("alone", STARTS_COUNT)
    start = time.perf_counter()
    await written(bench, many_triggers(TRIGGERS_COUNT))
    say(f"  {TRIGGERS_COUNT:,} triggers written in {time.perf_counter() - start:.0f} s")
    await bench.projected()
    say(f"  … and in the read models after {time.perf_counter() - start:.0f} s")
    start = time.perf_counter()
    killed = bench.cluster.kill("triggers")
    await bench.seconds_of_one("alone")
    load_s = time.perf_counter() - start
    held = held_bytes(bench) - empty
    say(f"  read at start in {load_s:.1f} s")
    times = await bench.milliseconds_to_start("alone", STARTS_COUNT)
    added = [await milliseconds_until_in_force(bench, number) for number in range(ADDED_COUNT)]
    return [
        at_most(f"{TRIGGERS_COUNT:,} triggers read at start, to the first run", load_s, 60, "s", 1),
        at_most("memory per trigger, the whole service", held / TRIGGERS_COUNT, 1024, "bytes", 0),
        at_most("event on NATS → RunStarted, p50, with them loaded", statistics.median(times), 5, "ms"),
        Figure("… and before", f"{statistics.median(without):.2f} ms", "", True),
        at_most(f"trigger saved → its first run, the slowest of {ADDED_COUNT}", max(added), 100, "ms", 1),
    ]


def one_job_for(name: str) -> dict[str, Any]:
    return one_transform(name) | {"triggers": [{"id": "on-event", "type": "event", "config": {"event_type": name}}]}


async def milliseconds_until_in_force(bench: Bench, number: int) -> float:
    """Until `RunStarted` is heard, from publishing an event as soon as the save of its trigger is answered."""
    name = f"added-{number}"
    await bench.save(one_job_for(name))
    [time_ms] = await bench.milliseconds_to_start(name, 1)
    return time_ms


# --- schedules --------------------------------------------------------------------------------------------------------


async def scheduled(bench: Bench) -> list[Figure]:
    """One schedule on an idle machine; then ten thousand due in one second."""
    every = {"id": "due", "type": "schedule", "config": {"every_ms": LATENESS_EVERY_MS}}
    await bench.save(one_transform("metronome") | {"triggers": [every]})
    await asyncio.sleep(LATENESS_S)
    (await bench.http.delete("/api/workflows/metronome")).raise_for_status()
    late = sorted(await lateness_ms(bench, "metronome"))
    due_at = (datetime.now(UTC) + timedelta(seconds=SCHEDULES_LEAD_S)).replace(microsecond=0)
    await written(bench, many_schedules(due_at))
    await bench.save(one_job_for("told"))  # told on NATS, from which the scheduler learns that definitions changed
    written_s = SCHEDULES_LEAD_S - (due_at - datetime.now(UTC)).total_seconds()
    say(f"  {SCHEDULES_COUNT:,} schedules written in {written_s:.1f} s")
    return [
        at_most("a single schedule's lateness, p99", late[int(len(late) * 0.99)], 20, "ms", 1),
        *await due_together(bench, due_at),
    ]


async def due_together(bench: Bench, due_at: datetime) -> list[Figure]:
    give_up = time.perf_counter() + WAIT_S
    fired: list[float] = []
    while len(fired) < SCHEDULES_COUNT and time.perf_counter() < give_up:
        await asyncio.sleep(0.5)
        fired = await lateness_ms(bench, "s-%")
    await asyncio.sleep(2)  # what fires twice does so now
    fired = await lateness_ms(bench, "s-%")
    started = await run_lateness_ms(bench, "s-%", due_at)
    return [
        Figure(
            f"{SCHEDULES_COUNT:,} schedules due in one second: fired, runs started",
            f"{len(fired):,}, {len(started):,}",
            f"each exactly once: {SCHEDULES_COUNT:,}",
            len(fired) == len(started) == SCHEDULES_COUNT,
        ),
        at_most("… the last fired after", max(fired) / 1000, 10, "s", 1),
        Figure("… the last run started after", f"{max(started) / 1000:.1f} s", "", True),
    ]


_FIRED = """
    select extract(epoch from recorded_at - (data ->> 'scheduled_at')::timestamptz) * 1000
    from eventlog.events where type = 'ScheduleFired' and data ->> 'workflow_id' like $1
"""
_STARTED = """
    select extract(epoch from recorded_at - $2) * 1000
    from eventlog.events where type = 'WorkflowTriggered' and data ->> 'workflow_id' like $1
"""


async def lateness_ms(bench: Bench, workflow_ids: str) -> list[float]:
    """Of each firing, from its nominal time to the moment at which it was recorded."""
    return await _column(bench, _FIRED, workflow_ids)


async def run_lateness_ms(bench: Bench, workflow_ids: str, due_at: datetime) -> list[float]:
    """Of each run that a schedule started, from the nominal time to the moment at which it was recorded."""
    return await _column(bench, _STARTED, workflow_ids, due_at)


async def _column(bench: Bench, query: str, *arguments: object) -> list[float]:
    connection = await asyncpg.connect(bench.cluster.endpoints.database)
    try:
        return [float(row[0]) for row in await connection.fetch(query, *arguments)]
    finally:
        await connection.close()


# --- all of it --------------------------------------------------------------------------------------------------------


async def measure(home: Path) -> list[Figure]:
    """All figures of this section."""
    say("a million triggers: the index alone")
    figures = await index_alone()
    async with running(home / "million") as bench:
        say("a million triggers: a whole system")
        figures += await loaded(bench)
    async with running(home / "schedules") as bench:
        say("schedules")
        figures += await scheduled(bench)
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--index", action="store_true", help="the index alone, as JSON, for the process that asks")
    if parser.parse_args().index:
        sys.stdout.write(json.dumps(measure_index()))
        return 0
    with tempfile.TemporaryDirectory(prefix="flowforge-bench-") as folder:
        figures = uvloop.run(measure(Path(folder)))
    for figure in figures:
        say(f"{figure.name}: {figure.value} ({figure.limit or 'no limit'}{'' if figure.is_met else ', NOT KEPT'})")
    return 0 if all(figure.is_met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
