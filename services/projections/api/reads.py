"""What HTTP handlers read from: the read models, the log, live streams; and waiting for one's own writes."""

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from flowforge.commands import COMMANDS, Command
from flowforge.envelope import CloudEvent, encode
from flowforge.refusals import Refusal
from flowforge.subjects import Subjects
from litestar import Litestar
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from infra.archive import ArchivedEventLog
from infra.bus.ending import end
from infra.bus.process import broker
from infra.bus.topology import hearings
from infra.http.authentication import Principal, key_holder, session_holder
from infra.http.paging import Cursors
from infra.http.problems import bad_request, not_found, of_refusal, unavailable
from infra.settings import Settings
from infra.telemetry import Tracing, start_tracing
from services.projections.graph import Graph, graph_of
from services.projections.measured import Tally
from services.projections.outlines import Outline, Outlines, Version
from services.projections.places import Places
from services.projections.settings import ReadSettings
from services.projections.streams import Streams, Tailer


class _Answer(msgspec.Struct):
    ok: dict[str, Any] | None = None
    refused: Refusal | None = None


_answer = msgspec.json.Decoder(_Answer)
_CHECKPOINT = "select position, incarnation from projections.checkpoint"
_DEFINITION = "select definition from projections.workflow_versions where workflow_id = $1 and version = $2"
_DEFINITIONS = """
    select workflow_id, version, definition from projections.workflow_versions
    join unnest($1::text[], $2::int[]) wanted (workflow_id, version) using (workflow_id, version)
"""
_PLACES = "select run_id, workflow_id from projections.runs where run_id = any($1)"
RUN_COLUMNS = """
    run_id, workflow_id, workflow_version, trigger_type, trigger_id, cause_event_id, cause_type, cause_id, cause_source,
    parent_run_id, parent_node_id, parent_instance, caused_by_run_id, actor, labels, input_data, priority, depth, from_node,
    forked_from, is_shadow, created_at, created_position, status, variables, output_data, error, started_at, completed_at,
    total_nodes, completed_nodes, ended_nodes, breakpoints, paused_at, paused_before, retries, sla_missed_at,
    recovery_actions, archive, position
"""
_RUN = f"select {RUN_COLUMNS} from projections.runs where run_id = $1"  # noqa: S608  constants
NATS_RETRY_S = 1.0
_log = logging.getLogger(__name__)


class Reads:
    """Everything a handler needs; open between `lifespan`'s two ends."""

    pool: asyncpg.Pool
    log: ArchivedEventLog
    streams: Streams
    tally: Tally

    def __init__(self, settings: Settings, limits: ReadSettings) -> None:
        self.limits = limits
        self.settings = settings
        self.tracing: Tracing | None = None
        self._begin()

    def _begin(self) -> None:
        """Nothing is known yet."""
        self._graphs: OrderedDict[tuple[UUID | None, str, int], Graph] = OrderedDict()
        self._outlines = Outlines(self.limits.outlines_cached_max)
        self._projected = asyncio.Event()
        self._position = 0
        self._incarnation: UUID | None = None
        self._client: Client | None = None

    @asynccontextmanager
    async def lifespan(self, _app: Litestar) -> AsyncGenerator[None]:
        """Connections to Postgres and, as soon as it answers, NATS; without NATS everything works, a little later."""
        assert self.settings.database_url, "FLOWFORGE_DATABASE_URL names no server"
        dsn = self.settings.database_url
        self._begin()
        self.tracing = start_tracing("reads", self.settings.namespace)
        self.pool = asyncpg.create_pool(
            dsn,
            min_size=0,
            max_size=self.limits.pool_size_max,
            command_timeout=15,
            server_settings={"application_name": "flowforge-reads", "timezone": "UTC", "jit": "off"},
        )
        await self.pool
        self.log = await ArchivedEventLog.open(dsn, self.settings.archive_folder, application_name="flowforge-reads")
        places = Places(self.log, self._place_runs, self.limits.runs_placed_max)
        tailer = Tailer(self.log, places, self.limits)
        self.tally = Tally(self.log)
        self.streams = Streams(self.log, tailer, places, self.limits)
        tasks = [asyncio.create_task(tailer.run()), asyncio.create_task(self._hear(tailer))]
        try:
            yield
        finally:
            await end(tasks)
            await self.log.close()
            self.pool.terminate()
            if self.tracing is not None:
                await asyncio.to_thread(self.tracing.end)

    async def _hear(self, tailer: Tailer) -> None:
        """Nudges, from as soon as NATS is there; without them log and checkpoint are looked at now and then."""
        if self.settings.nats_url is None:
            return
        subjects = Subjects(self.settings.namespace)
        nats = broker(self.settings, "reads")

        async def on_appended(_: Msg) -> None:
            tailer.nudge()

        async def on_projected(_: Msg) -> None:
            self._projected.set()

        try:
            while True:
                try:
                    client = await nats.connect()
                    break
                except (OSError, TimeoutError) as fault:
                    _log.warning("NATS is not there yet: %s", fault)
                    await asyncio.sleep(NATS_RETRY_S)
            await client.subscribe(subjects.appended, cb=on_appended)
            await client.subscribe(subjects.projected, cb=on_projected)
            self._client = client
            await asyncio.Event().wait()
        finally:
            with contextlib.suppress(Exception):
                await nats.stop()

    @property
    def namespace(self) -> str:
        """The first token of all subjects."""
        return self.settings.namespace

    @property
    def client(self) -> Client | None:
        """The connection to NATS, once it is there."""
        return self._client

    async def ask(self, command: Command) -> dict[str, Any]:
        """What a service answers to a question that is no write. Raises `Problem`: its refusal, 503 where none answers."""
        name = type(command).__name__
        service, _ = COMMANDS[name]
        question = CloudEvent(
            id=command.command_id,
            source=f"/{self.settings.namespace}/reads",
            type=name,
            data=msgspec.Raw(msgspec.json.encode(command)),
        )
        subject = Subjects(self.settings.namespace).command(service, name)
        for _ in range(self.limits.answer_tries_max):
            if self._client is None:
                break
            with contextlib.suppress(TimeoutError, NatsError, OSError):
                message = await self._client.request(subject, encode(question), timeout=self.limits.answer_wait_s)
                answer = _answer.decode(message.data)
                if answer.refused is not None:
                    raise of_refusal(answer.refused)
                return answer.ok or {}
        raise unavailable(f"the service '{service}' does not answer, which alone can tell this")

    async def holder(self, digest: bytes) -> Principal | None:
        """Whose key has this SHA-256."""
        return await key_holder(self.pool, digest)

    async def session_holder(self, digest: bytes) -> Principal | None:
        """Whose session has this SHA-256."""
        return await session_holder(self.pool, digest)

    # --- read your own writes -----------------------------------------------------------------------------------------

    async def position(self) -> int:
        """Where the read models stand."""
        row = await self.pool.fetchrow(_CHECKPOINT)
        assert row is not None
        self._position, self._incarnation = row
        return self._position

    async def wait_for(self, position: int) -> None:
        """Until the read models have what was logged at `position`. Raises a 503 `Problem` after `after_wait_s`, and a 400
        one at once for a position that this log has not reached: a write is answered once it is in the log."""
        if position > self._position and position > (head := await self.log.head()).position:
            raise bad_request("query.after", f"{position} lies beyond the end of this log ({head.position})")
        if not await self._have(position, self.limits.after_wait_s):
            raise unavailable(f"the read models stand at {self._position} and do not have position {position} yet")

    async def catch_up(self) -> None:
        """Until the read models have what is logged now, or `catch_up_wait_s` have passed."""
        await self._have((await self.log.head()).position, self.limits.catch_up_wait_s)

    async def lines_caught_up(self) -> None:
        """Until the lines that jobs have written are kept, or `catch_up_wait_s` have passed: they travel beside the log."""
        if self._client is None or not self._client.is_connected:
            return
        jetstream = self._client.jetstream(timeout=self.limits.catch_up_wait_s)
        [hearing] = hearings(Subjects(self.settings.namespace))["projections"]
        with contextlib.suppress(TimeoutError, NatsError):
            async with asyncio.timeout(self.limits.catch_up_wait_s):
                while True:
                    info = await jetstream.consumer_info(hearing.stream, hearing.durable)
                    if not info.num_pending and not info.num_ack_pending:
                        return
                    await asyncio.sleep(self.limits.lines_poll_s)

    async def _have(self, position: int, wait_s: float) -> bool:
        deadline = time.monotonic() + wait_s
        while position > self._position and position > await self.position():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            self._projected.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, self.limits.checkpoint_poll_s)):
                    await self._projected.wait()
        return True

    async def cursors(self, *scope: object) -> Cursors:
        """Cursors of one list, good for this log only."""
        if self._incarnation is None:
            await self.position()
        return Cursors(self._incarnation, *scope)

    # --- definitions --------------------------------------------------------------------------------------------------

    async def graph(self, workflow_id: str, version: int) -> Graph | None:
        """The graph of that version; None where there is no such."""
        key = (self._incarnation, workflow_id, version)
        graph = self._graphs.get(key)
        if graph is None:
            definition = await self.pool.fetchval(_DEFINITION, workflow_id, version)
            if definition is None:
                return None
            graph = self._keep(workflow_id, version, graph_of(definition))
        return graph

    async def have_graphs(self, versions: Collection[tuple[str, int]]) -> None:
        """Have the graphs of these versions at hand, with one question for all that are not."""
        missing = {version for version in versions if (self._incarnation, *version) not in self._graphs}
        if len(missing) > 1:
            found = await self.pool.fetch(_DEFINITIONS, *map(list, zip(*missing, strict=True)))
            for workflow_id, version, definition in found:
                self._keep(workflow_id, version, graph_of(definition))

    def _keep(self, workflow_id: str, version: int, graph: Graph) -> Graph:
        self._graphs[self._incarnation, workflow_id, version] = graph
        if len(self._graphs) > self.limits.graphs_cached_max:
            self._graphs.popitem(last=False)
        return graph

    async def outlines_of(self, versions: Collection[Version]) -> dict[str, Outline]:
        """What lists need of these versions, by workflow."""
        if self._incarnation is None:
            await self.position()
        return await self._outlines.of(self.pool, self._incarnation, versions)

    async def _place_runs(self, run_ids: Sequence[UUID]) -> dict[UUID, str]:
        return dict(await self.pool.fetch(_PLACES, run_ids))


async def run_row(reads: Reads, run_id: UUID) -> Mapping[str, Any]:
    """What the tables have of a run. Raises a 404 `Problem`."""
    row = await reads.pool.fetchrow(_RUN, run_id)
    if row is None:
        raise not_found("run", run_id)
    return row


async def graph_of_run(reads: Reads, run: Mapping[str, Any]) -> Graph:
    """The graph that a run started with."""
    graph = await reads.graph(run["workflow_id"], run["workflow_version"])
    return graph or Graph({}, [], {}, 1)


def raw(text: str | None) -> msgspec.Raw:
    """JSON text of a column, to be answered as it is."""
    return msgspec.Raw(b"null" if text is None else text.encode())
