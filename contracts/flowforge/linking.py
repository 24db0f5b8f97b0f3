"""A worker's connection to NATS: opened, lost and found again where the server is now, closed for good."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from nats.aio.client import Client
from nats.errors import Error as NatsError

from flowforge import home
from flowforge.errors import Unreachable

RECONNECT_WAIT_S = 0.2
PING_INTERVAL_S = 10
_log = logging.getLogger("flowforge.worker")


class Link:
    """`client` is the connection; `closed` is set once NATS closes the door for good. `reconnected` is called each time
    that it was lost and is there again."""

    def __init__(self, given_url: str | None, name: str, reconnected: Callable[[], Awaitable[None]]) -> None:
        self.client = Client()
        self.closed = asyncio.Event()
        self._given_url = given_url
        self._name = name
        self._on_reconnect = reconnected
        self._told_fault = ""
        self._url = ""

    async def open(self, stop: asyncio.Event) -> bool:
        """Connect, however long it takes; False where `stop` came first. Raises `Unreachable` where no address is known."""
        self._url = home.worker_nats_url(self._given_url)
        connection = self.client.connect(
            self._url,
            name=self._name,
            error_cb=self._faulted,
            reconnected_cb=self._reconnected,
            closed_cb=self._was_closed,
            max_reconnect_attempts=-1,
            reconnect_time_wait=RECONNECT_WAIT_S,  # type: ignore[arg-type]  # nats-py sleeps it; fractions are fine
            ping_interval=PING_INTERVAL_S,
            inbox_prefix=home.inbox_prefix(),
            skip_subject_validation=True,
        )
        connecting, stopping = asyncio.ensure_future(connection), asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait([connecting, stopping], return_when=asyncio.FIRST_COMPLETED)
            if connecting.done():
                connecting.result()
                return True
        finally:
            stopping.cancel()
            if connecting.cancel():
                await self.client.close()
        return False

    def ended(self) -> Unreachable:
        """What to raise once it is closed for good."""
        return Unreachable(f"NATS at {home.without_password(self._url)} ended the connection: {self._told_fault}")

    async def _faulted(self, fault: Exception) -> None:
        text = f"{type(fault).__name__}: {fault}"
        if text != self._told_fault:
            self._told_fault = text
            _log.warning("NATS at %s: %s; trying on", home.without_password(self._url), text)
        if not self.client.is_connected:
            self._look_for_another_address()

    def _look_for_another_address(self) -> None:
        """An installation that was started anew may have another port and other logins."""
        with contextlib.suppress(Unreachable, NatsError):
            url = home.worker_nats_url(self._given_url)
            if url != self._url:
                self._url = url
                self.client.set_server_pool([url])

    async def _was_closed(self) -> None:
        self.closed.set()

    async def _reconnected(self) -> None:
        _log.info("connected to NATS again")
        self._told_fault = ""
        await self._on_reconnect()
