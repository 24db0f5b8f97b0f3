"""Messages that were put aside, taken up once more by the service that put them aside.

That somebody asked for it is logged first, in the stream of the message that was put aside. What comes of it comes as of
any message: where it fails again, it is put aside again, in the same stream. A retry that was logged and not taken up is
taken up at the next start; since handling a message twice changes nothing, so does that.
"""

import base64
from collections.abc import Callable
from typing import cast

from flowforge.commands import RetryDeadLetter
from flowforge.envelope import CloudEvent, NotAnEvent, now
from flowforge.events import DeadLetterRetried, MessageQuarantined, decode, encode
from flowforge.refusals import Accepted, Refusal, Rejected, invalid_state, not_found

from infra.bus.message import Decode, Message
from infra.eventlog import Append, Appended, EventLog, NewEvent, StoredEvent, StreamAppend

QUARANTINED_BODY_BYTES_MAX = 64 * 1024
"""So much of a message is kept; what is longer cannot be retried."""
TRIES_MAX = 3
_NOTHING = CloudEvent(id="", source="", type="")


class DeadLetters:
    """Of one service. `put` takes a message into its next turn, `put_aside` one that cannot be read."""

    def __init__(
        self,
        service: str,
        log: EventLog,
        decode_for: Callable[[str], Decode],
        put: Callable[[Message], None],
        put_aside: Callable[[Message, str], None],
    ) -> None:
        self._service = service
        self._log = log
        self._decode_for = decode_for
        self._put = put
        self._put_aside = put_aside

    async def retry(self, command: RetryDeadLetter) -> Accepted | Rejected:
        """Log that it is to be handled once more, and take it up. A second time only once it has failed again."""
        for _ in range(TRIES_MAX):
            history = await self._log.read_stream(command.stream_id)
            facts = [decode(stored.type, stored.data) for stored in history]
            for stored, fact in zip(history, facts, strict=True):
                if isinstance(fact, DeadLetterRetried) and fact.command_id == command.command_id:
                    if stored.version == len(history):  # perhaps whoever logged it never heard that it was
                        self._take_up(history[-2], stored.version)
                    return _accepted(command, stored.position)
            refusal = self._refusal(command, history)
            if refusal is not None:
                return Rejected(refusal)
            event = DeadLetterRetried(service=self._service, command_id=command.command_id)
            told = StreamAppend(
                "quarantine", command.stream_id, len(history), [NewEvent(type(event).__name__, encode(event))]
            )
            [answer] = await self._log.append([Append([told], recorded_at=now(), actor=command.actor or None)])
            if isinstance(answer, Appended):
                self._take_up(history[-1], len(history) + 1)
                return _accepted(command, answer.positions[0])
        return Rejected(invalid_state("somebody else is retrying this message; look at it again"))

    async def take_up_again(self, stored: StoredEvent) -> None:
        """A retry that was logged: take the message up unless what came of it is logged too."""
        if cast("DeadLetterRetried", decode(stored.type, stored.data)).service != self._service:
            return
        history = await self._log.read_stream(stored.stream_id)
        if len(history) == stored.version:
            self._take_up(history[-2], stored.version)

    def _refusal(self, command: RetryDeadLetter, history: list[StoredEvent]) -> Refusal | None:
        if not history or history[0].type != MessageQuarantined.__name__:
            return not_found("dead letter", command.dead_letter_id)
        last = decode(history[-1].type, history[-1].data)
        if not isinstance(last, MessageQuarantined):
            return invalid_state(
                f"dead letter {command.dead_letter_id} was retried already, and has not failed again: nothing is left to do"
            )
        if last.subject.split(".")[1:2] == ["commands"]:
            return invalid_state(
                f"dead letter {command.dead_letter_id} is a request, and whoever sent it was told that it failed: "
                "send the request again"
            )
        if len(_body(last)) >= QUARANTINED_BODY_BYTES_MAX:
            return invalid_state(
                f"dead letter {command.dead_letter_id} was kept in part only ({QUARANTINED_BODY_BYTES_MAX} bytes): "
                "have its sender send it again"
            )
        return None

    def _take_up(self, quarantined: StoredEvent, version: int) -> None:
        letter = cast("MessageQuarantined", decode(quarantined.type, quarantined.data))
        body = _body(letter)
        origin = "log" if letter.subject.split(".")[1:2] == ["log"] else "stream"
        message = Message(letter.subject, body, _NOTHING, origin, "")
        message.dead_letter = (quarantined.stream_id, version)
        try:
            message.event = self._decode_for(letter.subject)(body)
        except NotAnEvent as fault:
            self._put_aside(message, str(fault))
        else:
            self._put(message)


def _body(letter: MessageQuarantined) -> bytes:
    return base64.b64decode(letter.body) if letter.body_encoding == "base64" else letter.body.encode()


def _accepted(command: RetryDeadLetter, position: int) -> Accepted:
    return Accepted({"id": command.dead_letter_id, "service": command.service, "position": position})


def matches(pattern: str, subject: str) -> bool:
    """Whether a subject falls under a pattern with `*` and `>`."""
    wanted, given = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted, given = wanted[:-1], given[: len(wanted) - 1] if len(given) >= len(wanted) else []
    return len(wanted) == len(given) and all(one in ("*", other) for one, other in zip(wanted, given, strict=True))
