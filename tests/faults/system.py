"""The whole system under fault: every process real, any of them armed, killed and looked at by name.

One system serves many cases, since a case that starts from nothing would cost seconds. What is looked at after a case
is what was logged during it; `History` remembers where each stream stood before.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self
from uuid import UUID

import msgspec
import nats
from flowforge import Client
from flowforge.subjects import Subjects
from nats.aio.client import Client as NatsClient
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from infra.bus.topology import hearings
from infra.embedded import nats as embedded_nats
from infra.embedded import postgres as embedded_postgres
from infra.embedded.cluster import Cluster
from infra.embedded.home import Credentials
from infra.embedded.process import send
from infra.embedded.readiness import READY_FD
from infra.embedded.supervisor import Service, default_services
from infra.eventlog import PostgresEventLog, StoredEvent, Unavailable

LOOK_INTERVAL_S = 0.05
LOG_TAIL_LINES = 25
LEASE_S = 3
"""Of a job; a worker that dies with one costs the case so long."""
WORKER = "worker"
SERVED = str(Path(__file__).with_name("served.py"))
SUBJECTS = Subjects()
WORK_QUEUES = (
    SUBJECTS.inbox_stream,
    SUBJECTS.reports_stream,
    SUBJECTS.timers_stream,
    SUBJECTS.jobs_stream,
    SUBJECTS.advisories_stream,
)


class Queue(msgspec.Struct, frozen=True):
    """What lies on one stream with one durable consumer; `durable` is empty for a work queue as a whole."""

    stream: str
    durable: str = ""
    waiting: int = 0
    """Messages that nobody has taken, or taken and not acknowledged."""
    is_pulled: bool = True


class History:
    """What the log says, read forward; and where its streams stood when the last case began."""

    def __init__(self) -> None:
        self.position = 0
        self.versions: dict[UUID, int] = {}
        self.events: list[StoredEvent] = []

    def begin(self) -> None:
        """A new case: what was read so far is past."""
        for event in self.events:
            self.versions[event.stream_id] = max(event.version, self.versions.get(event.stream_id, 0))
        self.position += len(self.events)
        self.events = []

    @property
    def head(self) -> int:
        return self.position + len(self.events)


class System:
    """One `flowforge up` with a worker, and a seat from which everything can be seen."""

    def __init__(self, home: Path, environment: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.history = History()
        self._reading = asyncio.Lock()
        self._armed = home / "failpoints"
        self._markers = home / "fired"
        self._armed.mkdir(parents=True)
        env = {
            "FLOWFORGE_FAILPOINTS_ONCE": str(self._markers),
            "FLOWFORGE_JOB_LEASE_S": str(LEASE_S),
            **(environment or {}),
        }
        served = (sys.executable, SERVED)
        services = [*default_services(), Service(WORKER, served, has_database=False)]
        self.cluster = Cluster(home, services=[self._armable(service) for service in services], env=env)

    def _armable(self, service: Service) -> Service:
        """The service with a file of failpoints of its own, read whenever it starts."""
        given = f"FLOWFORGE_FAILPOINTS_FILE={self._armed / service.name}"
        return msgspec.structs.replace(service, command=("/usr/bin/env", given, *service.command))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start `up` on this home, and take a seat."""
        await self.cluster.start()
        await self._sit_down()

    async def stop(self) -> None:
        try:
            await self._stand_up()
        finally:
            await self.cluster.stop()

    async def kill_up_and_start_again(self) -> None:
        """kill -9 of `up`, then `up` on the same home."""
        await self.cluster.kill_supervisor()
        await self._stand_up()
        await self.start()

    async def _sit_down(self) -> None:
        endpoints = self.cluster.endpoints
        credentials = msgspec.json.decode((self.home / "credentials.json").read_bytes(), type=Credentials)
        at = endpoints.database.rpartition("@")[2]
        port = int(at.partition("/")[0].rpartition(":")[2])
        nats_port = int(endpoints.nats.rpartition(":")[2])
        self.service_dsn = embedded_postgres.login_url(port, "flowforge_service", credentials.postgres["service"])
        self.owner_dsn = embedded_postgres.login_url(port, embedded_postgres.OWNER, credentials.postgres["owner"])
        self.reader_dsn = endpoints.database
        self.http = endpoints.http
        self.log = await PostgresEventLog.connect(self.service_dsn)
        self.client = Client(home=self.home)
        supervisor = embedded_nats.login_url(nats_port, embedded_nats.SUPERVISOR, credentials.nats["supervisor"])
        self.worker_login = embedded_nats.login_url(nats_port, "worker", credentials.nats["worker"])
        self.nats = await _connected(supervisor)
        self.outside = await _connected(endpoints.nats)

    async def _stand_up(self) -> None:
        await self.client.close()
        await _close(self.nats)
        await _close(self.outside)
        await self.log.close()

    # --- faults -------------------------------------------------------------------------------------------------------

    def arm(self, process: str, point: str, deed: str) -> None:
        """Have `process` do `die` or `error` at `point` (`@N`: at the Nth passage) once, from its next start on."""
        (self._markers / point).unlink(missing_ok=True)
        (self._armed / process).write_text(f"{point}={deed}")

    def disarm(self, process: str) -> None:
        (self._armed / process).unlink(missing_ok=True)

    def fired(self, point: str) -> bool:
        """Whether the fault was really injected (I12)."""
        return (self._markers / point).exists()

    @asynccontextmanager
    async def another_worker(self) -> AsyncGenerator[int]:
        """A second worker, nobody's child but ours; its process id."""
        ready, told = os.pipe()
        environment = {
            **os.environ,
            "FLOWFORGE_NATS_URL": self.worker_login,
            "FLOWFORGE_JOB_LEASE_S": str(LEASE_S),
            READY_FD: str(told),
        }
        with (self.home / "logs" / "another.log").open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, SERVED], env=environment, pass_fds=(told,), stdout=output, stderr=output
            )
        os.close(told)
        try:
            assert await asyncio.to_thread(os.read, ready, 1), f"the worker ended\n{self.tails(['another'])}"
            yield process.pid
        finally:
            os.close(ready)
            process.kill()
            process.wait()

    async def kill_nats_and_delete_its_store(self) -> None:
        """Held still, robbed of its folder and killed: the next nats-server finds nothing."""
        pid = self.cluster.kill("nats", signal.SIGSTOP)
        gone = self.home / "nats" / "gone"
        (self.home / "nats" / "store").rename(gone)
        send(pid, signal.SIGKILL)
        await self.cluster.wait_ready("nats", after=pid)
        shutil.rmtree(gone)

    # --- seeing -------------------------------------------------------------------------------------------------------

    async def read_on(self) -> list[StoredEvent]:
        """What was logged since the case began; the same as before while Postgres is away."""
        history = self.history
        try:
            async with self._reading:
                while page := await self.log.read(history.head, 5_000):
                    history.events += page
        except Unavailable:
            pass
        return history.events

    async def has_logged(self, kind: str, count: int = 1) -> bool:
        """Whether so many events of a type were logged since the case began."""
        return sum(event.type == kind for event in await self.read_on()) >= count

    async def queues(self) -> list[Queue]:
        """What lies on NATS that somebody ought to take. Raises NatsError while it does not answer."""
        jetstream = self.nats.jetstream(timeout=2)
        found = [Queue(name, waiting=(await jetstream.stream_info(name)).state.messages) for name in WORK_QUEUES]
        for hearing in (hearing for heard in hearings(SUBJECTS).values() for hearing in heard):
            info = await jetstream.consumer_info(hearing.stream, hearing.durable)
            left = (info.num_pending or 0) + (info.num_ack_pending or 0)
            found.append(Queue(hearing.stream, hearing.durable, left, bool(info.num_waiting)))
        return found

    async def said(self, first_sequence: int) -> set[str]:
        """Ids of the events that the stream of runs holds from a sequence on."""
        ids: set[str] = set()
        pulled = await self.nats.jetstream(timeout=5).pull_subscribe(
            f"{SUBJECTS.namespace}.runs.>",
            stream=SUBJECTS.runs_stream,
            config=ConsumerConfig(
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=max(1, first_sequence),
                ack_policy=AckPolicy.NONE,
                inactive_threshold=5,
            ),
        )
        left = (await pulled.consumer_info()).num_pending or 0
        while left > 0:
            page = await pulled.fetch(min(left, 1_000), timeout=5)
            left -= len(page)
            ids |= {msgspec.json.decode(message.data)["id"] for message in page}
        await pulled.unsubscribe()
        return ids

    async def last_said_sequence(self) -> int:
        return (await self.nats.jetstream(timeout=5).stream_info(SUBJECTS.runs_stream)).state.last_seq

    def tails(self, names: Sequence[str] = ()) -> str:
        """The last lines of the logs."""
        shown: list[str] = []
        for file in sorted((self.home / "logs").glob("*.log")):
            if not names or file.stem in names:
                lines = file.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
                shown.append(f"--- {file.stem}\n" + "\n".join(line[:400] for line in lines))
        return "\n".join(shown)

    async def until(
        self, is_so: Callable[[], Awaitable[bool] | bool], timeout_s: float, what: Callable[[], str] | str
    ) -> None:
        """Wait for a condition; what NATS or Postgres refuse meanwhile is no answer yet."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                answer = is_so()
                if isinstance(answer, bool):
                    if answer:
                        return
                elif await answer:
                    return
            except (NatsError, TimeoutError, Unavailable, OSError):
                pass
            if time.monotonic() > deadline:
                text = what if isinstance(what, str) else what()
                raise AssertionError(f"not within {timeout_s} s: {text}\n{self.tails()}")
            await asyncio.sleep(LOOK_INTERVAL_S)


async def _close(connection: NatsClient) -> None:
    """nats-py waits for the socket of a connection that broke where a task of its own had waited and was cancelled; whoever
    waits after that is told that it was cancelled itself."""
    try:
        await connection.close()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise


async def _connected(url: str) -> NatsClient:
    async def quiet(_fault: Exception) -> None:
        return

    return await nats.connect(
        url,
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.1,  # type: ignore[arg-type]  # nats-py sleeps it; fractions are fine
        error_cb=quiet,
    )
