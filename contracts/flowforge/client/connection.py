"""Where the client finds the server, and its two connections: HTTP, and NATS for publishing events."""

import asyncio
import os
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from flowforge import envelope
from flowforge import home as installation
from flowforge.asking import ANSWER_TIMEOUT_S, PATIENCE_S, Asking
from flowforge.client.room import Room
from flowforge.envelope import CloudEvent
from flowforge.errors import Unreachable, refusal
from flowforge.events import NULL
from flowforge.identity import new_uuid
from flowforge.refusals import too_large
from flowforge.subjects import Subjects

if TYPE_CHECKING:
    from nats.aio.client import Client as NatsClient

NATS_CONNECT_TIMEOUT_S = 3.0
NATS_ACK_TIMEOUT_S = 2.0
PUBLISH_TRIES_COUNT = 5


class Connection(Room):
    """Opened by its first use."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        nats_url: str | None = None,
        home: str | Path | None = None,
        *,
        namespace: str | None = None,
        timeout_s: float = ANSWER_TIMEOUT_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._home = installation.home_folder(home)
        self._url = url or os.environ.get("FLOWFORGE_URL")
        self._key = key or os.environ.get("FLOWFORGE_KEY")
        self._nats_url = nats_url
        self._timeout_s, self._patience_s = timeout_s, patience_s
        self._subjects = Subjects(installation.namespace(namespace))
        self._http: Asking | None = None
        self._nats: NatsClient | None = None
        self._nats_lock = asyncio.Lock()

    async def close(self) -> None:
        """Close what was opened; the client may be used again afterwards."""
        http, self._http = self._http, None
        nats, self._nats = self._nats, None
        if http is not None:
            await http.close()
        if nats is not None:
            await nats.close()

    @property
    def position(self) -> int:
        """Of the last write that was answered, or event that was seen; reads show at least this."""
        return self._asking().position

    async def publish(
        self,
        type: str,  # noqa: A002 - the attribute's name in CloudEvents
        data: object = None,
        *,
        source: str = "/flowforge/client",
        id: str | None = None,  # noqa: A002 - the attribute's name in CloudEvents
        subject: str | None = None,
    ) -> str:
        """Publish an event, on disk when this returns; answers its id.

        `source` and `id` identify it: the same again starts nothing twice. Goes over NATS where its address is known,
        else over HTTP.
        """
        event = CloudEvent(
            id=id or str(new_uuid()),
            source=source,
            type=type,
            subject=subject,
            time=envelope.now(),
            datacontenttype="application/json",
            data=NULL if data is None else msgspec.Raw(msgspec.json.encode(data)),
        )
        if self._nats_address() is None:
            # source and id make a repeat harmless: an Idempotency-Key is not needed
            await self._asking().write("POST", "/api/events", msgspec.Raw(envelope.encode(event)))
        else:
            await self._publish_over_nats(event)
        return event.id

    async def _publish_over_nats(self, event: CloudEvent) -> None:
        """JetStream keeps the same message id once, so that asking again after a silence is harmless."""
        from nats.errors import Error as NatsError  # noqa: PLC0415  most clients never publish, and start faster
        from nats.errors import MaxPayloadError  # noqa: PLC0415

        nats = await self._connected_nats()
        headers = {"Nats-Msg-Id": _event_key(event)}
        fault: Exception | None = None
        for _ in range(PUBLISH_TRIES_COUNT):
            try:
                await nats.jetstream().publish(
                    self._subjects.inbox(),
                    envelope.encode(event),
                    timeout=NATS_ACK_TIMEOUT_S,
                    stream=self._subjects.inbox_stream,
                    headers=headers,
                )
            except MaxPayloadError:
                told = f"the event is larger than NATS takes, {nats.max_payload} bytes; publish a reference to its data"
                raise refusal(msgspec.to_builtins(too_large(told))) from None
            except NatsError as refused:
                fault = refused
                await asyncio.sleep(NATS_ACK_TIMEOUT_S / 10)
            else:
                return
        raise self._nats_unreachable(fault) from fault

    def _asking(self) -> Asking:
        if self._http is None:
            url = self._url or installation.endpoints(self._home).http
            if not url:
                raise Unreachable(
                    f"no address of FlowForge is known: start `flowforge up` (it writes {self._home}/endpoints.json), "
                    "set FLOWFORGE_HOME to where it runs, or set FLOWFORGE_URL"
                )
            key = self._key or installation.admin_key(self._home)
            self._http = Asking(_with_scheme(url), key, timeout_s=self._timeout_s, patience_s=self._patience_s)
        return self._http

    def _nats_address(self) -> str | None:
        """Given, or of the installation; one named by an explicit HTTP address has no NATS that we know."""
        if self._nats_url is not None or self._url is not None:
            return self._nats_url
        return installation.endpoints(self._home).nats or os.environ.get("FLOWFORGE_NATS_URL")

    async def _connected_nats(self) -> "NatsClient":
        async with self._nats_lock:
            if self._nats is None or self._nats.is_closed:
                self._nats = await self._connect_nats(self._nats_address() or "")
            return self._nats

    async def _connect_nats(self, url: str) -> "NatsClient":
        from nats.aio.client import Client as NatsClient  # noqa: PLC0415  most clients never publish, and start faster

        faults: list[Exception] = []

        async def faulted(fault: Exception) -> None:
            faults[:] = [fault]

        nats = NatsClient()
        try:
            async with asyncio.timeout(NATS_CONNECT_TIMEOUT_S):
                await nats.connect(
                    url,
                    name="flowforge-client",
                    error_cb=faulted,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=0.1,  # type: ignore[arg-type]  # nats-py sleeps it; fractions are fine
                )
        except TimeoutError as fault:
            raise self._nats_unreachable(faults[0] if faults else fault) from fault
        return nats

    def _nats_unreachable(self, fault: Exception | None) -> Unreachable:
        shown = installation.without_password(self._nats_address() or "")
        return Unreachable(f"no answer from NATS at {shown} ({fault!r}): start `flowforge up`, or name another address")


def _with_scheme(url: str) -> str:
    """As the command line takes it: `forge.example.com` is an HTTP address."""
    return url if "://" in url else f"http://{url}"


def _event_key(event: CloudEvent) -> str:
    """The same for the same event: source and id, hashed since they may hold what a header may not."""
    return blake2b(f"{event.source}\x1f{event.id}".encode(), digest_size=16).hexdigest()
