"""A service small enough to see the shell work: it counts words, one stream per word, and says each count."""

from collections.abc import Collection, Hashable, Sequence
from typing import Any, cast

import msgspec
from flowforge.envelope import now
from flowforge.identity import named_stream
from flowforge.subjects import Subjects

from infra.bus import Message, Outgoing, Work, envelope
from infra.eventlog import Answer, Append, EventLog, NewEvent, StoredEvent, StreamAppend


class Tally:
    """Hears `WorkflowTriggered` on the runs stream (data: `{"word", "seq"}`); each message counts once."""

    name = "execution"
    says = frozenset({"Counted"})
    hears: frozenset[str] = frozenset()

    def __init__(self, log: EventLog, namespace: str) -> None:
        self.inbound: dict[str, Any] = {}
        self.forgotten = 0
        self.loads = 0
        self.is_mended = False
        self._log = log
        self._subjects = Subjects(namespace)
        self._namespace = namespace
        self._seen: dict[str, list[int]] = {}

    def key(self, message: Message) -> Hashable:
        word = msgspec.json.decode(message.event.data).get("word")
        if not word:
            raise ValueError("a message without a word")
        return str(word)

    async def load(self, keys: Collection[Hashable], messages: Sequence[Message]) -> None:  # noqa: ARG002
        self.loads += 1
        for key in keys:
            if key not in self._seen:
                history = await self._log.read_stream(named_stream("word", str(key)))
                self._seen[str(key)] = [msgspec.json.decode(event.data)["seq"] for event in history]

    def decide(self, key: Hashable, messages: Sequence[Message]) -> Work:
        seen, events, answers = self._seen[str(key)], list[NewEvent](), list[tuple[Message, bytes]]()
        expected = len(seen)
        for message in messages:
            said = msgspec.json.decode(message.event.data)
            if said.get("poison") and not self.is_mended:
                raise RuntimeError("a bug met this message")
            if said["seq"] not in seen:
                seen.append(said["seq"])
                data = b"not JSON" if said.get("unfit") else msgspec.json.encode({"word": key, "seq": said["seq"]})
                events.append(NewEvent("Counted", data))
            if message.origin == "command":
                answers.append((message, msgspec.json.encode({"ok": {"count": len(seen)}})))
        if not events:
            return Work(answers=answers)
        stream = StreamAppend("word", named_stream("word", str(key)), expected, events)
        return Work(Append([stream], now()), answers)

    def logged(self, key: Hashable, work: Work, events: Sequence[StoredEvent]) -> list[Outgoing]:  # noqa: ARG002
        return [self._message(event) for event in events]

    def refused(self, key: Hashable, answer: Answer) -> None:  # noqa: ARG002
        self.forgotten += 1
        self._seen.pop(str(key), None)

    async def resay(self, events: Sequence[StoredEvent]) -> list[Outgoing]:
        return [self._message(event) for event in events]

    def forget_all(self) -> None:
        self._seen.clear()

    async def nats_was_away(self) -> None:
        return

    async def tick(self) -> None:
        return

    def _message(self, event: StoredEvent) -> Outgoing:
        word = cast("str", msgspec.json.decode(event.data)["word"])
        body = envelope(event, self._namespace)
        return Outgoing(self._subjects.workflow(word, "Counted"), body, str(event.event_id), is_covered=True)
