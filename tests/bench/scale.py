"""Workflows and loops of ten thousand, and two thousand runs that wait: what they cost (issue 4, scale).

Run by `make bench` as a section of its own, or alone: `python tests/bench/scale.py`. Small and large take turns, since
absolute figures on shared machines mean little; what matters is whether the cost per node or iteration stays flat.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import uvloop

sys.path.insert(0, str(Path(__file__).parent))
from figures import Figure, at_most, say
from system import Bench, cpu_seconds, running

FEW, MANY = 1_000, 10_000
"""Nodes of a workflow (validation allows no more than ten thousand), iterations of a loop."""
LANES = 20
"""How many chains stand side by side in the large workflow."""
ROUNDS = 3
WAITING_COUNT = 2_000
IDLE_S = 10.0
ENDING_WAIT_S = 300.0


# --- definitions ------------------------------------------------------------------------------------------------------


def lanes(name: str, count: int) -> dict[str, Any]:
    """Chains side by side: every second node a job, the others transforms that look at the node before them."""
    nodes: list[dict[str, Any]] = []
    edges: list[dict[str, str]] = []
    for number in range(count):
        node: dict[str, Any] = {"id": f"n{number}", "type": "job", "job_type": "step"}
        if number // LANES % 2:
            before = f"${{nodes.n{number - LANES}.output.n + 1}}"
            node = {"id": f"n{number}", "type": "data_transform", "expressions": {"n": before}}
        nodes.append(node)
        if number >= LANES:
            edges.append({"source_node_id": f"n{number - LANES}", "target_node_id": f"n{number}"})
    return fired(name, nodes=nodes, edges=edges, settings={"max_parallel_jobs": 100})


def wide_skip(name: str, count: int) -> dict[str, Any]:
    """One condition, and all the rest behind the path that is not taken: they are skipped in one step."""
    nodes: list[dict[str, Any]] = [{"id": "no", "type": "condition", "condition": "false", "true_path": "n0"}]
    nodes += [{"id": f"n{number}", "type": "job", "job_type": "step"} for number in range(count - 1)]
    edges = [{"source_node_id": "n0", "target_node_id": f"n{number}"} for number in range(1, count - 1)]
    return fired(name, nodes=nodes, edges=edges)


def loop(name: str, count: int, body: dict[str, Any]) -> dict[str, Any]:
    node = {
        "id": "l",
        "type": "loop",
        "loop_type": "count",
        "count": count,
        "max_iterations": count,
        "max_parallel": 20,
    }
    nodes = [{**node, "body": {"nodes": [{"id": "b", **body}]}}]
    return fired(name, nodes=nodes, settings={"max_parallel_jobs": 20})


def fired(name: str, **fields: Any) -> dict[str, Any]:
    """A definition that events of its name start."""
    trigger = {"id": "on-event", "type": "event", "config": {"event_type": name}}
    return {"id": name, "name": name, "triggers": [trigger], **fields}


TRANSFORM = {"type": "data_transform", "expressions": {"i": "${index}"}}
JOB = {"type": "job", "job_type": "step"}


# --- figures ----------------------------------------------------------------------------------------------------------


async def flat(bench: Bench, what: str, few: str, many: str, ratio_max: float) -> list[Figure]:
    """Milliseconds per node or iteration of the large one, and that against the small one."""
    small: list[float] = []
    large: list[float] = []
    for _ in range(ROUNDS):
        small += [await bench.seconds_of_one(few, ENDING_WAIT_S) / FEW for _ in range(3)]
        large.append(await bench.seconds_of_one(many, ENDING_WAIT_S) / MANY)
        await bench.projected()
        say(f"  {what}: {small[-1] * 1000:.3f} and {large[-1] * 1000:.3f} ms each")
    per_one = statistics.median(large)
    return [
        Figure(f"{what}, each", f"{per_one * 1000:.2f} ms", "", True),
        at_most(f"… against one of {FEW:,}", per_one / statistics.median(small), ratio_max, "×"),
    ]


async def large_workflows(bench: Bench) -> list[Figure]:
    for count in (FEW, MANY):
        await bench.save(lanes(f"lanes-{count}", count))
        await bench.save(wide_skip(f"skip-{count}", count))
    figures = await flat(bench, f"a workflow of {MANY:,} nodes", f"lanes-{FEW}", f"lanes-{MANY}", 1.5)
    return figures + await flat(bench, f"{MANY:,} nodes skipped at once", f"skip-{FEW}", f"skip-{MANY}", 1.5)


async def loops(bench: Bench) -> list[Figure]:
    for count in (FEW, MANY):
        await bench.save(loop(f"transforms-{count}", count, TRANSFORM))
        await bench.save(loop(f"jobs-{count}", count, JOB))
    figures = await flat(
        bench, f"a loop of {MANY:,} iterations, without jobs", f"transforms-{FEW}", f"transforms-{MANY}", 1.5
    )
    before = rss_mb(bench)
    figures += await flat(bench, f"a loop of {MANY:,} iterations, a job each", f"jobs-{FEW}", f"jobs-{MANY}", 1.5)
    return [*figures, at_most("memory that execution grew by meanwhile", rss_mb(bench) - before, 50, "MB", 1)]


def rss_mb(bench: Bench) -> float:
    return psutil.Process(bench.cluster.pid("execution")).memory_info().rss / 1024**2


async def waiting_runs(bench: Bench) -> list[Figure]:
    """Half of the runs wait for a person, the others for an hour to pass."""
    await bench.save(fired("for-a-person", nodes=[{"id": "a", "type": "human_approval"}]))
    await bench.save(fired("for-an-hour", nodes=[{"id": "d", "type": "delay", "duration_ms": 3_600_000}]))
    await bench.projected()
    idle = await share_of_a_core(bench)
    for name in ("for-a-person", "for-an-hour"):
        await bench.fire_many(name, WAITING_COUNT // 2)
    while (await bench.http.get("/api/stats")).json()["runs"]["running"] < WAITING_COUNT:
        await asyncio.sleep(0.2)
    await bench.projected()
    waiting = await share_of_a_core(bench)
    say(f"  processor time: {idle:.2f} % idle, {waiting:.2f} % with {WAITING_COUNT:,} runs waiting")
    return [at_most(f"{WAITING_COUNT:,} waiting runs: processor time", waiting - idle, 1, "% of a core more")]


async def share_of_a_core(bench: Bench) -> float:
    """The least of three spans: what else the machine does at the moment is none of ours."""
    shares: list[float] = []
    for _ in range(3):
        before, start = cpu_seconds(bench.cluster), time.perf_counter()
        await asyncio.sleep(IDLE_S)
        shares.append((cpu_seconds(bench.cluster) - before) / (time.perf_counter() - start) * 100)
    return min(shares)


async def measure(home: Path) -> list[Figure]:
    async with running(home / "scale") as bench:
        say("two thousand waiting runs")
        figures = await waiting_runs(bench)
        say("ten thousand nodes")
        figures += await large_workflows(bench)
        say("ten thousand iterations")
        return figures + await loops(bench)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="flowforge-scale-") as folder:
        figures = uvloop.run(measure(Path(folder)))
    for figure in figures:
        say(f"{figure.name}: {figure.value} ({figure.limit})")
    return 0 if all(figure.is_met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
