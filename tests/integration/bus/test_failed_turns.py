"""A turn, or a start, that fails half way: nothing that was only decided counts, nothing that was logged stays unsaid."""

from collections.abc import Collection, Hashable, Sequence
from typing import Any
from uuid import UUID

import msgspec
from flowforge.envelope import CloudEvent, encode
from flowforge.identity import named_stream

from infra.bus import LoadAgain, Message, Outgoing, Work
from infra.bus.appending import UNAVAILABLE_WAIT_S
from infra.bus.turn import RACES_MAX
from infra.eventlog import Answer, Append, Conflict, EventLog, MemoryEventLog, PartUnavailable, StoredEvent, Unavailable
from tests.integration.bus.conftest import Stage
from tests.integration.bus.tally import Tally
from tests.until import until


class Away(MemoryEventLog):
    """A log that does not answer the next `times` appends."""

    times = 0

    async def append(self, groups: Sequence[Append]) -> list[Answer]:
        if self.times:
            self.times -= 1
            raise Unavailable("no answer")
        return await super().append(groups)


class Late(MemoryEventLog):
    """A log whose first append is reported as failed while it is still under way: it is done when it is tried again."""

    def __init__(self) -> None:
        super().__init__()
        self.underway: Sequence[Append] | None = None
        self.is_read = False

    async def append(self, groups: Sequence[Append]) -> list[Answer]:
        if self.underway is None:
            self.underway = groups
            raise Unavailable("the connection broke")
        if not self.is_read:
            self.is_read = True
            await super().append(self.underway)
        return await super().append(groups)


class Torn(MemoryEventLog):
    """A log of which the stream of the word `lost` cannot be read."""

    async def read_stream(self, stream_id: UUID, after_version: int = 0, limit: int | None = None) -> list[StoredEvent]:
        if stream_id == named_stream("word", "lost"):
            raise PartUnavailable("the archive with it is not there")
        return await super().read_stream(stream_id, after_version, limit)


class Stumbling(Tally):
    """Fails once when it is asked what to say again."""

    stumbles = 1

    async def resay(self, events: Sequence[StoredEvent]) -> list[Outgoing]:
        if self.stumbles:
            self.stumbles -= 1
            raise RuntimeError("a bug that shows once")
        return await super().resay(events)


async def test_what_was_decided_and_not_logged_is_forgotten(stage: Stage):
    stage.log = log = Away()
    shell, _ = await stage.shell(log=log)
    log.times = len(UNAVAILABLE_WAIT_S) + 1  # longer than one turn has patience for
    await stage.say("a", 1)
    await until(lambda: stage.heard == [{"word": "a", "seq": 1}], "it is counted once the log answers again")
    assert await stage.counted() == [("a", 1)]
    await until(stage.nothing_is_left, "everything is acknowledged")
    await shell.stop()


async def test_a_part_of_the_log_that_cannot_be_read_stops_only_who_needs_it(stage: Stage):
    stage.log = Torn()
    shell, _ = await stage.shell(log=stage.log)
    await stage.say("lost", 1)
    await stage.say("a", 2)
    await until(lambda: stage.heard == [{"word": "a", "seq": 2}], "the other word is counted")

    async def is_quarantined() -> bool:
        return len(await stage.quarantined()) == 1

    await until(is_quarantined, "what cannot be decided is put aside, and may be taken up again")
    assert "the archive with it is not there" in (await stage.quarantined())[0]["reason"]
    await until(stage.nothing_is_left, "nothing waits")
    inbox = await stage.client.subscribe(stage.client.new_inbox())
    await shell.command("commands", stage.body("lost", 3), inbox.subject)
    refused = msgspec.json.decode((await inbox.next_msg(5)).data)["refused"]
    assert (refused["status"], refused["detail"]) == (503, "the archive with it is not there")
    assert len(await stage.quarantined()) == 1
    await shell.stop()


async def test_an_append_that_was_done_later_than_it_was_read_back_is_said(stage: Stage):
    stage.log = log = Late()
    shell, _ = await stage.shell(log=log)
    await stage.say("a", 1)
    await until(lambda: {"word": "a", "seq": 1} in stage.heard, "it is told, although another try logged it")
    assert await stage.counted() == [("a", 1)]
    assert isinstance((await log.append(list(log.underway or [])))[0], Conflict)
    await shell.stop()


async def test_a_start_that_fails_for_a_bug_is_tried_again(stage: Stage):
    first, _ = await stage.shell()
    await stage.say("a", 1)
    await until(lambda: len(stage.heard) == 1, "the first counts")
    await first.stop()
    await stage.log.set_cursor("said:execution", 0)
    second, _ = await stage.shell(Stumbling(stage.log, stage.namespace))
    await stage.say("a", 2)
    await until(lambda: {"word": "a", "seq": 2} in stage.heard, "the next process does its work")
    await second.stop()


class Hesitating(Away):
    """Answers what is put aside, and not the next `times` appends of anything else."""

    async def append(self, groups: Sequence[Append]) -> list[Answer]:
        if all(stream.stream_type == "quarantine" for group in groups for stream in group.streams):
            return await MemoryEventLog.append(self, groups)
        return await super().append(groups)


async def test_what_was_put_aside_in_a_turn_that_then_failed_is_not_put_aside_again(stage: Stage):
    stage.log = log = Hesitating()
    await stage.publish(encode(CloudEvent(id="1", source="/x", type="WorkflowTriggered", data=msgspec.Raw(b"{}"))))
    await stage.say("a", 1)
    log.times = len(UNAVAILABLE_WAIT_S) + 1
    shell, _ = await stage.shell(log=log)
    await until(lambda: stage.heard == [{"word": "a", "seq": 1}], "the neighbour is counted in the next turn")
    await until(stage.nothing_is_left, "everything is acknowledged")
    await stage.say("a", 2)
    await until(lambda: len(stage.heard) == 2, "a turn later than what the failed one put back")
    assert len(await stage.quarantined()) == 1
    await shell.stop()


class OneByOne(Tally):
    """Decides one message of a word, and the next once that is logged."""

    def decide(self, key: Hashable, messages: Sequence[Message]) -> Work:
        work = super().decide(key, messages[:1])
        work.later = list(messages[1:])
        return work


async def test_what_is_decided_one_after_the_other_has_lost_no_race(stage: Stage):
    shell, _ = await stage.shell(OneByOne(stage.log, stage.namespace))
    answers: list[Any] = []

    async def answered(message: Any) -> None:
        answers.append(msgspec.json.decode(message.data))

    inbox = stage.client.new_inbox()
    await stage.client.subscribe(inbox, cb=answered)
    for seq in range(RACES_MAX + 5):
        await shell.command("commands", stage.body("a", seq), inbox)
    await until(lambda: len(answers) == RACES_MAX + 5, "all are answered")
    assert answers == [{"ok": {"count": seq + 1}} for seq in range(RACES_MAX + 5)]
    await shell.stop()


class Rival(MemoryEventLog):
    """A log in which somebody else always appends first."""

    async def append(self, groups: Sequence[Append]) -> list[Answer]:
        return [Conflict(group.streams[0].stream_id, 7) for group in groups]


async def test_who_loses_every_race_gives_up_and_says_so(stage: Stage):
    shell, service = await stage.shell(log=Rival())
    inbox = await stage.client.subscribe(stage.client.new_inbox())
    await shell.command("commands", stage.body("a", 1), inbox.subject)
    assert msgspec.json.decode((await inbox.next_msg(5)).data)["refused"]["status"] == 503
    assert service.forgotten == RACES_MAX + 1
    await shell.stop()


class Asking(Tally):
    """Asks for what the next load of a word brings, and forgets it with all else."""

    def __init__(self, log: EventLog, namespace: str) -> None:
        super().__init__(log, namespace)
        self._wanted: set[Hashable] = set()
        self._brought: set[Hashable] = set()

    async def load(self, keys: Collection[Hashable], messages: Sequence[Message]) -> None:
        await super().load(keys, messages)
        self._brought |= self._wanted.intersection(keys)
        self._wanted.difference_update(keys)

    def decide(self, key: Hashable, messages: Sequence[Message]) -> Work:
        if key not in self._brought:
            self._wanted.add(key)
            raise LoadAgain("there is more to know")
        return super().decide(key, messages)

    def refused(self, key: Hashable, answer: Answer) -> None:
        super().refused(key, answer)
        self._brought.discard(key)


async def test_the_neighbours_of_a_poison_message_may_ask_for_more(stage: Stage):
    await stage.say("a", 1)
    await stage.say("a", 2, poison=True)
    await stage.say("a", 3)
    shell, _ = await stage.shell(Asking(stage.log, stage.namespace))

    async def is_quarantined() -> bool:
        return len(await stage.quarantined()) >= 1

    await until(is_quarantined, "the poison message is put aside")
    await until(stage.nothing_is_left, "nothing waits")
    assert sorted(await stage.counted()) == [("a", 1), ("a", 3)]
    (aside,) = await stage.quarantined()
    assert "a bug met this message" in aside["reason"]
    await shell.stop()
