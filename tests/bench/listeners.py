"""A thousand listeners of the wide stream, some of whom read nothing: memory, processor time, and how late events come."""

import asyncio
import statistics
import sys
import time
from pathlib import Path

import msgspec
import nats
from flowforge.envelope import CloudEvent, encode
from flowforge.identity import new_uuid
from flowforge.subjects import Subjects

from infra.embedded.cluster import Cluster

sys.path.insert(0, str(Path(__file__).parent))
from figures import Figure, at_most

LISTENERS = 1_000
DEAF = 100
"""Of them: connected, and never reading."""
EVENTS_PER_S = 200
SECONDS = 8
TOLD_BY = 20
"""So many listeners look at each event's time."""
SETTLE_S = 2.0
SUBJECTS = Subjects()


class _Sent(msgspec.Struct):
    data: dict[str, float]


class _Received(msgspec.Struct):
    data: _Sent


async def measure(home: Path) -> list[Figure]:
    """On a FlowForge of its own."""
    async with Cluster(home / "listeners") as cluster:
        return await _measured(cluster)


async def _measured(cluster: Cluster) -> list[Figure]:
    pid, late_ms, counts = cluster.pid("front"), list[float](), [0] * (LISTENERS - DEAF)
    await _burst(cluster, 50, 1)  # what is loaded at first use is not theirs
    before = _memory_bytes(pid)
    deaf = [await _listen(cluster) for _ in range(DEAF)]
    readers = [await _listen(cluster) for _ in counts]
    reading = [
        asyncio.create_task(_read(reader, place, counts, late_ms if place < TOLD_BY else None))
        for place, (reader, _) in enumerate(readers)
    ]
    await asyncio.sleep(SETTLE_S)
    idle, cpu, began = _memory_bytes(pid), _cpu_s(pid), time.monotonic()
    await _burst(cluster, EVENTS_PER_S, SECONDS)
    await asyncio.sleep(SETTLE_S)
    used, after = (_cpu_s(pid) - cpu) / (time.monotonic() - began), _memory_bytes(pid)
    for task in reading:
        task.cancel()
    for _, writer in (*deaf, *readers):
        writer.close()
    late_ms.sort()
    each = f"{LISTENERS:,} live streams: memory of the HTTP process, each"
    lost = sum(count < EVENTS_PER_S * SECONDS for count in counts)
    return [
        at_most(each, (idle - before) / LISTENERS / 1024, 150, "KB", 0),
        at_most(f"… grown by meanwhile, {DEAF} of them reading nothing", (after - idle) / 1024**2, 100, "MB", 0),
        Figure(f"… {EVENTS_PER_S} events/s to all of them: processor time", f"{used * 100:.0f} % of a core", "", True),
        Figure("… from sent to heard, p50 / p99",
               f"{statistics.median(late_ms):.0f} / {late_ms[int(len(late_ms) * 0.99)]:.0f} ms", "", True),
        at_most("… readers that missed an event", lost, 0, "readers", 0),
    ]  # fmt: skip


async def _listen(cluster: Cluster) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = cluster.endpoints.http.rpartition("//")[2].partition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    head = f"GET /api/stream?types=EventReceived HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {cluster.admin_key}\r\n\r\n"
    writer.write(head.encode())
    assert b" 200 " in await reader.readline()
    return reader, writer


async def _read(reader: asyncio.StreamReader, place: int, counts: list[int], late_ms: list[float] | None) -> None:
    rest = b""
    while chunk := await reader.read(65_536):
        counts[place] += chunk.count(b"event: EventReceived")
        if late_ms is None:
            continue
        *lines, rest = (rest + chunk).split(b"\n")
        now = time.time()
        for line in lines:
            if line.startswith(b"data: ") and line.endswith(b"}"):
                sent = msgspec.json.decode(line[6:], type=_Received).data.data
                late_ms.append((now - sent["sent"]) * 1000)


async def _burst(cluster: Cluster, per_s: int, seconds: int) -> None:
    connection = await nats.connect(cluster.endpoints.nats)
    try:
        began = time.monotonic()
        for number in range(per_s * seconds):
            event = CloudEvent(
                id=str(new_uuid()), source="/bench", type="bench.listened",
                data=msgspec.Raw(msgspec.json.encode({"sent": time.time()})),
            )  # fmt: skip
            await connection.publish(SUBJECTS.inbox("bench"), encode(event))
            await asyncio.sleep(max(0.0, began + (number + 1) / per_s - time.monotonic()))
        await connection.flush()
    finally:
        await connection.close()


def _memory_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) * 1024


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        for figure in asyncio.run(measure(Path(folder))):
            print(figure)
