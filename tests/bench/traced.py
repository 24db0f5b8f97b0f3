"""What traces cost: the same runs with traces off and with a tenth of them recorded and sent to a collector, in turn.

    python tests/bench/traced.py [--rounds N] [--runs N]

Told as ratios: processor time per run of the whole system (which a busy machine disturbs least), and runs per second.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parent))
from figures import Figure, at_least, at_most, say
from system import Bench, chain, cpu_seconds, running

SHARE = "0.1"
EXTRA_COST_MAX = 0.10
WARM_UP_RUNS = 500


class Round(msgspec.Struct):
    """One round of one system."""

    cpu_ms_per_run: float
    runs_per_s: float


@asynccontextmanager
async def collector() -> AsyncGenerator[str]:
    """Reads what it is sent, and says thanks."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
                await reader.readexactly(int(fields.get(b"content-length", b"0")))
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def measured(bench: Bench, runs: int) -> Round:
    """So many runs of three jobs, to the end of the last and until all is in the read models."""
    cpu_s, start = cpu_seconds(bench.cluster), time.perf_counter()
    bench.expect(runs)
    await bench.fire_many("chain-3", runs)
    await bench.reached()
    await bench.projected()
    took_s = time.perf_counter() - start
    return Round((cpu_seconds(bench.cluster) - cpu_s) * 1000 / runs, runs / took_s)


async def pair(off: Bench, on: Bench, runs: int, *, is_first_off: bool) -> tuple[Round, Round]:
    """Each in turn goes first."""
    if is_first_off:
        return await measured(off, runs), await measured(on, runs)
    traced = await measured(on, runs)
    return await measured(off, runs), traced


async def compare(folder: Path, rounds: int, runs: int) -> list[Figure]:
    """Both systems are up; they take turns."""
    async with collector() as url:
        tracing = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": SHARE,
        }  # fmt: skip
        async with running(folder / "off") as off, running(folder / "on", tracing) as on:
            for bench in (off, on):
                await bench.save(chain("chain-3", 3))
                await measured(bench, WARM_UP_RUNS)
            pairs = [await pair(off, on, runs, is_first_off=number % 2 == 0) for number in range(rounds)]
    cost = statistics.median(with_it.cpu_ms_per_run / without.cpu_ms_per_run for without, with_it in pairs) - 1
    speed = statistics.median(with_it.runs_per_s / without.runs_per_s for without, with_it in pairs)
    sides = (f"{statistics.median(each.cpu_ms_per_run for each in side):.2f}" for side in zip(*pairs, strict=True))
    return [
        at_most("a tenth of all runs traced: more processor time", cost * 100, EXTRA_COST_MAX * 100, "%", 1),
        at_least("… runs/s, of those without", speed, 1 - EXTRA_COST_MAX, "×", 2),
        Figure("… of each round", ", ".join(f"{b.runs_per_s / a.runs_per_s:.2f}" for a, b in pairs), "", True),
        Figure("… processor time per run, without / with", f"{' / '.join(sides)} ms", "", True),
    ]


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=2000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="flowforge-traced-") as folder:
        Path(folder).chmod(0o755)
        figures = await compare(Path(folder), given.rounds, given.runs)
    for figure in figures:
        say(f"{figure.name}: {figure.value}  {figure.limit}")
    return 0 if all(figure.is_met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
