"""Talking to FlowForge from Python: publish events, save workflows, start runs, follow them to their end.

    async with Client() as client:
        run_id = await client.execute("daily-report", {"region": "eu"})
        async for event in client.follow(run_id):
            print(event["type"])

The same without `async`, in scripts and notebooks (see `SyncClient`):

    with Client() as client:
        run = client.wait(client.execute("daily-report", {"region": "eu"}))

Beside a running `flowforge up` it finds address and key by itself. What it has written it reads: every write's position
in the log is remembered, and reads wait for it. Writes carry an idempotency key, so that repeating one is harmless.
"""

from collections.abc import AsyncGenerator, Callable, Coroutine
from types import TracebackType
from typing import Any, ParamSpec, Self

from flowforge.client.blocking import SyncClient
from flowforge.client.connection import Connection
from flowforge.client.library import Library
from flowforge.client.operating import BulkAction, Operating
from flowforge.client.paging import each
from flowforge.client.people import People
from flowforge.client.room import Definition, Moment, RunId, idempotent
from flowforge.client.runs import Runs
from flowforge.client.subscriptions import Subscriptions
from flowforge.client.system import System
from flowforge.client.triggers import Triggers
from flowforge.client.workflows import Workflows

__all__ = ["BulkAction", "Client", "Definition", "Moment", "RunId", "SyncClient", "idempotent"]

P = ParamSpec("P")


class Client(Workflows, Triggers, Runs, Operating, Subscriptions, Library, People, System, Connection):
    """A connection to one FlowForge, opened by its first use.

    `url`, `key`, `nats_url` and `home` are found, where not given, in FLOWFORGE_URL, FLOWFORGE_KEY and under
    FLOWFORGE_HOME (endpoints.json, admin.key). An answer may take `timeout_s`; a server that has answered before may be
    away for `patience_s` until a request is given up. Every method raises `Refused` (its subclasses say of what kind)
    with the problem document when the server says no, and `Unreachable`, naming the address and the next step, when
    nobody answers.
    """

    def each(
        self, page: Callable[P, Coroutine[Any, Any, dict[str, Any]]], *args: P.args, **filters: P.kwargs
    ) -> AsyncGenerator[dict[str, Any]]:
        """Every item of a list that answers in pages: `async for run in client.each(client.runs, status="failed")`."""
        return each(page, *args, **filters)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __enter__(self) -> SyncClient:
        """The same for programs without `async`."""
        self._sync = SyncClient.around(self)
        return self._sync

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sync.close()
