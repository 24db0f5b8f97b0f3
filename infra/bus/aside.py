"""Messages that cannot be handled: tried again a few times where the fault is ours, then put aside as a fact of the log."""

import logging
import traceback
from collections.abc import Awaitable, Callable

import msgspec
from flowforge.envelope import now
from flowforge.events import MessageQuarantined, encode
from flowforge.identity import derived_uuid, identity_key
from flowforge.refusals import Refusal, Rejected, unavailable
from nats.aio.client import Client

from infra.bus import settling
from infra.bus.appending import Appending
from infra.bus.dead_letters import QUARANTINED_BODY_BYTES_MAX
from infra.bus.message import Message, readable, without_secrets
from infra.eventlog import Append, NewEvent, PartUnavailable, StreamAppend
from infra.telemetry.measures import MEASURES

BUG_DELIVERIES_MAX = 3
"""A message whose handling fails for a bug is quarantined at this delivery."""
_encode = msgspec.json.encode
_log = logging.getLogger(__name__)


class Aside:
    """For one service. `on_growth` is called once a message that was put aside is in the log."""

    def __init__(
        self, service: str, client: Client, appending: Appending, on_growth: Callable[[], Awaitable[None]]
    ) -> None:
        self._service = service
        self._client = client
        self._appending = appending
        self._on_growth = on_growth

    async def bug(self, message: Message, bug: Exception) -> None:
        """Handling it failed: who asked is told; it comes again, or is put aside after `BUG_DELIVERIES_MAX` deliveries."""
        MEASURES.add("bugs_total")
        is_ours = not isinstance(bug, PartUnavailable)
        text = "".join(traceback.format_exception(bug)) if is_ours else str(bug)
        _log.error("%s cannot handle %s on %s: %s", self._service, message.event.type, message.subject, text)
        refusal = unavailable(str(bug))
        if is_ours:
            refusal = Refusal(
                code="INTERNAL_ERROR",
                status=500,
                title="Internal error",
                detail=f"{type(bug).__name__}; see the log of {self._service}",
            )
        await settling.answer(self._client, message, _encode(Rejected(refusal)))
        if message.is_owed and message.deliveries < BUG_DELIVERIES_MAX:
            await settling.ask_again_later(self._client, [message], settling.LATER_S)
        elif is_ours or message.origin != "command":  # who asked knows, and may ask again
            await self.quarantine(message, f"{type(bug).__name__}: {bug}")
        message.is_settled = True

    async def quarantine(self, message: Message, reason: str, identity: bytes | None = None) -> None:
        """Log the message with its cause, then take it out of circulation; it can be looked at, and sent again.

        Under an `identity` that the log knows already it is taken out of circulation, and nothing is logged: so a message
        that comes again, since nobody heard that it was put aside, is put aside once.
        """
        MEASURES.add("quarantined_total")
        whole = without_secrets(message.body) if message.origin == "command" else message.body
        body, body_encoding = readable(whole[:QUARANTINED_BODY_BYTES_MAX])
        fact = MessageQuarantined(
            service=self._service,
            subject=message.subject,
            reason=reason[:2000],
            body=body,
            body_encoding=body_encoding,
            deliveries=message.deliveries,
        )
        at = now()
        stream_id, version = message.dead_letter or (
            derived_uuid(at, "quarantine", message.reply_to or message.event.id, message.subject), 0
        )  # fmt: skip
        event = NewEvent(type=MessageQuarantined.__name__, data=encode(fact))
        known = None if message.dead_letter else identity or self._identity(message)
        stream = StreamAppend("quarantine", stream_id, version, [event], known)
        await self._appending.append([Append([stream], recorded_at=at)])
        await self._on_growth()
        await settling.take_out(self._client, message)
        message.is_settled = True

    def _identity(self, message: Message) -> bytes | None:
        """Of an event of the log, whatever way it came; of another message, by its place in its stream and its time there."""
        if message.origin != "command" and message.event.position is not None:
            return identity_key("quarantined", self._service, message.event.id)
        return None if message.place is None else identity_key("quarantined", self._service, *message.place)
