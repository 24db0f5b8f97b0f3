"""Messages that cannot be handled: stream type `quarantine`, written by the service that met the message."""

from typing import Literal

from flowforge.events.event import Event


class MessageQuarantined(Event, kw_only=True, frozen=True):
    """A message that cannot be handled, kept with its cause. `body` is base64 where it is no UTF-8 text."""

    service: str
    subject: str
    reason: str
    body: str
    body_encoding: Literal["text", "base64"] = "text"
    deliveries: int = 1


class DeadLetterRetried(Event, kw_only=True, frozen=True):
    """Somebody had the message handled once more; where that fails again, another `MessageQuarantined` follows."""

    service: str
    command_id: str = ""
