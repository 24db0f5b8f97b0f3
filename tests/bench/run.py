"""`make bench`: every figure that the README quotes, measured now, with its limit; the command's status tells the truth.

Ours and the floor (the cheapest possible loop of the same job; `--floor FILE`) take turns in one run, since absolute
figures on shared machines mean little. Writes `RESULTS.md` beside this file.
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import uvloop
from flowforge.identity import derived_uuid

from infra.embedded.cluster import Cluster
from infra.eventlog import Append, NewEvent, PostgresEventLog, StreamAppend

sys.path.insert(0, str(Path(__file__).parent))
import listeners
import looking
import million
import reading
import scale
import traced
import validating
from figures import Figure, at_least, at_most, say
from floor import FloorServers, floor_servers
from system import HERE, Bench, chain, cpu_seconds, python_memory_bytes, running, service_environment, wide

ROUNDS = 5
RUNS_PER_ROUND = 3000
LATENCY_RUNS = 200
IDLE_S = 20.0
LOG_SIZE = """
    select sum(pg_total_relation_size(oid))::bigint from pg_class
    where relnamespace = 'eventlog'::regnamespace and relkind = 'r'
"""


async def throughput(bench: Bench, runs: int) -> tuple[float, float]:
    """Runs per second until the last is heard to end, and until all is in the read models."""
    bench.expect(runs)
    start = time.perf_counter()
    await bench.fire_many("chain-3", runs)
    await bench.reached()
    ended = time.perf_counter() - start
    await bench.projected()
    return runs / ended, runs / (time.perf_counter() - start)


async def latencies(bench: Bench, count: int) -> list[float]:
    return sorted([await bench.seconds_of_one("chain-3") * 1000 for _ in range(count)])


async def against_floor(bench: Bench, floor: FloorServers | None, rounds: int) -> list[Figure]:
    """Ours and the floor in turn."""
    ours: list[tuple[float, float]] = []
    p50s: list[float] = []
    p95s: list[float] = []
    floors: list[dict[str, float]] = []
    for _ in range(rounds):
        if floor is not None:
            floors.append(await floor.measure(RUNS_PER_ROUND))
        times = await latencies(bench, LATENCY_RUNS)
        p50s.append(times[LATENCY_RUNS // 2])
        p95s.append(times[int(LATENCY_RUNS * 0.95)])
        ours.append(await throughput(bench, RUNS_PER_ROUND))
        say(f"  ours {ours[-1][0]:,.0f} runs/s, p50 {p50s[-1]:.2f} ms; floor {floors[-1] if floors else 'not here'}")
    rate, projected = (statistics.median(column) for column in zip(*ours, strict=True))
    p50 = statistics.median(p50s)
    figures = [
        Figure("three jobs in a chain, runs/s", f"{rate:,.0f}", "", True),
        Figure("… until all is in the read models, runs/s", f"{projected:,.0f}", "", True),
        Figure("publish → RunCompleted, p50 / p95", f"{p50:.2f} / {statistics.median(p95s):.2f} ms", "", True),
    ]
    if floors:
        floor_rate = statistics.median(found["runs_per_s"] for found in floors)
        floor_p50 = statistics.median(found["p50_ms"] for found in floors)
        shares = statistics.median(found[0] / at["runs_per_s"] for found, at in zip(ours, floors, strict=True))
        slower = statistics.median(found / at["p50_ms"] for found, at in zip(p50s, floors, strict=True))
        figures += [
            Figure("the floor: runs/s, p50", f"{floor_rate:,.0f}, {floor_p50:.2f} ms", "", True),
            at_least("share of the floor's runs/s", shares, 0.5, "×", 2),
            at_most("p50 against the floor's", slower, 1.5, "×"),
        ]
    return figures


async def shapes(bench: Bench) -> list[Figure]:
    """Single runs of particular shapes; the median of several."""
    start_times = sorted(await bench.milliseconds_to_start("chain-3", LATENCY_RUNS))
    wide_s = statistics.median([await bench.seconds_of_one("wide-1000") for _ in range(5)])
    chain_s = statistics.median([await bench.seconds_of_one("chain-40") for _ in range(9)])
    return [
        at_most("event on NATS → RunStarted, p50", start_times[len(start_times) // 2], 5, "ms"),
        at_most("one run with 1,000 parallel jobs and a join", wide_s, 1, "s", 3),
        at_most("one run with a chain of 40 jobs", chain_s, 0.2, "s", 3),
    ]


async def bytes_per_run(bench: Bench, runs: int = 600) -> list[Figure]:
    """What runs of three nodes add to the log with its indexes: each alone, where every step is a commit of its own, and
    many at once."""
    connection = await asyncpg.connect(service_environment(bench.cluster)["FLOWFORGE_DATABASE_URL"])
    try:
        sizes = [await connection.fetchval(LOG_SIZE)]
        await latencies(bench, runs)
        sizes.append(await connection.fetchval(LOG_SIZE))
        await throughput(bench, RUNS_PER_ROUND)
        sizes.append(await connection.fetchval(LOG_SIZE))
    finally:
        await connection.close()
    return [
        at_most("bytes in the log per three-node run", (sizes[1] - sizes[0]) / runs, 4096, "bytes", 0),
        at_most("… of many at once", (sizes[2] - sizes[1]) / RUNS_PER_ROUND, 4096, "bytes", 0),
    ]


async def append_rate(bench: Bench, batches: int = 200) -> Figure:
    """The log alone: batches of 500 events of 166 streams, one caller."""
    log = await PostgresEventLog.connect(service_environment(bench.cluster)["FLOWFORGE_DATABASE_URL"])
    data = json.dumps({"node_id": "n", "output": {"text": "x" * 100}}).encode()
    at = datetime.now(UTC)
    total = 0
    try:
        start = time.perf_counter()
        for batch in range(batches):
            groups: list[Append] = []
            for stream in range(166):
                events = [NewEvent("BenchAppended", data)] * (3 if stream else 5)
                identity = derived_uuid(at + timedelta(milliseconds=batch), "bench", batch, stream, os.getpid())
                groups.append(Append([StreamAppend("bench", identity, 0, events)], at))
                total += len(events)
            await log.append(groups)
        return at_least(
            "the log: events appended, batches of 500", total / (time.perf_counter() - start), 50_000, "events/s"
        )
    finally:
        await log.close()


async def rebuild_rate(bench: Bench) -> Figure:
    """All read models, built anew from the log."""
    head = await bench.head()
    start = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.projections", "rebuild", "--json",
        env=service_environment(bench.cluster), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"rebuild failed: {output.decode()}")
    return at_least("read models rebuilt", head / (time.perf_counter() - start), 20_000, "events/s")


async def at_rest(bench: Bench) -> list[Figure]:
    """What it costs to do nothing."""
    before, start = cpu_seconds(bench.cluster), time.perf_counter()
    await asyncio.sleep(IDLE_S)
    share = (cpu_seconds(bench.cluster) - before) / (time.perf_counter() - start) * 100
    memory_mb = python_memory_bytes(bench.cluster) / 1024**2
    return [
        at_most("memory of all Python processes (PSS)", memory_mb, 600, "MB", 0),
        at_most("processor time at rest, servers included", share, 5, "% of a core", 1),
    ]


async def starts(home: Path) -> list[Figure]:
    """First start on an empty folder, later start, stop, and a dead service's return."""
    start = time.perf_counter()
    cluster = Cluster(home)
    await cluster.start()
    first = time.perf_counter() - start
    killed, start = cluster.kill("execution"), time.perf_counter()
    await cluster.wait_ready("execution", after=killed)
    back = time.perf_counter() - start
    start = time.perf_counter()
    await cluster.stop()
    stopped, start = time.perf_counter() - start, time.perf_counter()
    again = Cluster(home)
    await again.start()
    later = time.perf_counter() - start
    await again.stop()
    return [
        at_most("first start, from an empty folder to ready", first, 10, "s"),
        at_most("later start", later, 5, "s"),
        at_most("stop", stopped, 10, "s"),
        at_most("a service that died is ready again", back, 1, "s"),
    ]


async def measure(floor_script: Path | None, rounds: int) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="flowforge-bench-") as folder:
        home = Path(folder)
        say("validating")
        figures = list(validating.figures())
        say("starting and stopping")
        figures += await starts(home / "starts")
        async with running(home / "ours") as bench:
            say("at rest")
            figures += await at_rest(bench)
            for definition in (chain("chain-3", 3), chain("chain-40", 40), wide("wide-1000", 1000)):
                await bench.save(definition)
            await latencies(bench, 50)
            await throughput(bench, 500)
            say("three jobs in a chain" + (", beside the floor" if floor_script else ""))
            if floor_script is None:
                figures += await against_floor(bench, None, rounds)
            else:
                async with floor_servers(home / "floor", floor_script) as floor:
                    figures += await against_floor(bench, floor, rounds)
            say("bytes per run")
            figures += await bytes_per_run(bench)
            say("shapes")
            figures += await shapes(bench)
            say("rebuild")
            figures.append(await rebuild_rate(bench))
        async with running(home / "log") as bench:
            say("append")
            figures.append(await append_rate(bench))
        say("traced")
        figures += await traced.compare(home / "traced", rounds=4, runs=1500)
        figures += await scale.measure(home)
        figures += await million.measure(home)
        figures += await listeners.measure(home)
        say("the console in a browser")
        figures += await looking.measure(home)
        figures += await reading.measure(home / "reading")
    return figures


def report(figures: list[Figure], has_floor: bool) -> str:
    lines = [
        "# Results",
        "",
        f"Written by `make bench` on {datetime.now(UTC):%Y-%m-%d}, {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} cores, Python {platform.python_version()}. Everything is logged, decided and projected; "
        "fsync on; one Python worker. Medians of several rounds"
        + (", ours and the floor in turn." if has_floor else "; the floor was not at hand."),
        "",
        "| what | measured | promised | kept |",
        "| --- | --- | --- | --- |",
        *(
            f"| {f.name} | {f.value} | {f.limit} | {'' if not f.limit else 'yes' if f.is_met else '**no**'} |"
            for f in figures
        ),
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--floor", type=Path, default=None, help="the floor's script; compared with when it is there")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    script = options.floor.resolve() if options.floor and options.floor.is_file() else None
    figures = uvloop.run(measure(script, options.rounds))
    text = report(figures, script is not None)
    (HERE / "RESULTS.md").write_text(text)
    say(text)
    return 0 if all(figure.is_met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
