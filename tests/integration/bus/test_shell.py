"""What the shell promises every service, on a real nats-server."""

import asyncio
from collections.abc import Collection, Hashable, Sequence
from typing import Any

import msgspec
from flowforge.envelope import CloudEvent, encode

from infra.eventlog import Answer, Append, MemoryEventLog, Unavailable
from tests.integration.bus.conftest import Stage
from tests.integration.bus.tally import Tally
from tests.until import until


class Flaky(MemoryEventLog):
    """A log that does a deed and reports a failure, or does nothing and reports one."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []

    async def append(self, groups: Sequence[Append]) -> list[Answer]:
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "before":
            raise Unavailable("no answer")
        answers = await super().append(groups)
        if fault == "after":
            raise Unavailable("no answer, yet it is done")
        return answers


async def test_what_is_said_is_logged_told_and_acknowledged(stage: Stage):
    shell, _ = await stage.shell()
    for seq in range(50):
        await stage.say("a", seq)
    await until(lambda: len(stage.heard) == 50, "50 counts are told")
    assert await stage.counted() == [("a", seq) for seq in range(50)]
    await until(stage.nothing_is_left, "everything is acknowledged")
    await shell.stop()


async def test_a_message_delivered_twice_counts_once(stage: Stage):
    shell, _ = await stage.shell()
    body = stage.body("a", 1)
    for _ in range(3):
        await stage.publish(body)
    await stage.say("a", 2)
    await until(lambda: len(stage.heard) >= 2, "both counts are told")
    await until(stage.nothing_is_left, "everything is acknowledged")
    assert await stage.counted() == [("a", 1), ("a", 2)]
    await shell.stop()


async def test_what_arrives_together_is_one_turn(stage: Stage):
    for seq in range(300):
        await stage.say(f"w{seq % 7}", seq)
    shell, service = await stage.shell()
    await until(lambda: len(stage.heard) == 300, "300 counts are told")
    assert service.loads < 20
    await shell.stop()


async def test_a_poison_message_is_quarantined_with_its_cause_and_its_neighbours_go_on(stage: Stage):
    shell, _ = await stage.shell()
    await stage.say("a", 1)
    await stage.say("a", 2, poison=True)
    await stage.say("a", 3)
    await stage.say("b", 4)
    await until(lambda: len(stage.heard) == 3, "the neighbours are counted")

    async def is_quarantined() -> bool:
        return len(await stage.quarantined()) == 1

    await until(is_quarantined, "the message is put aside at its third delivery")
    (aside,) = await stage.quarantined()
    assert "a bug met this message" in aside["reason"]
    assert aside["deliveries"] == 3
    assert '"seq":2' in aside["body"]
    await until(stage.nothing_is_left, "nothing waits")
    assert sorted(await stage.counted()) == [("a", 1), ("a", 3), ("b", 4)]
    await shell.stop()


async def test_a_message_whose_aggregate_cannot_be_told_for_a_bug_is_put_aside_alone(stage: Stage):
    await stage.publish(encode(CloudEvent(id="1", source="/x", type="WorkflowTriggered", data=msgspec.Raw(b"[]"))))
    await stage.say("a", 1)
    shell, _ = await stage.shell()
    await until(lambda: len(stage.heard) == 1, "the neighbour is counted")

    async def is_quarantined() -> bool:
        return [aside["deliveries"] for aside in await stage.quarantined()] == [3]

    await until(is_quarantined, "it is put aside at its third delivery")
    assert "AttributeError" in (await stage.quarantined())[0]["reason"]
    await until(stage.nothing_is_left, "nothing waits")
    await shell.stop()


async def test_what_no_log_could_take_is_put_aside_and_the_others_are_logged(stage: Stage):
    await stage.say("a", 1)
    await stage.say("b", 2, unfit=True)
    await stage.say("c", 3)
    shell, _ = await stage.shell()
    await until(lambda: len(stage.heard) == 2, "the neighbours are counted")

    async def is_quarantined() -> bool:
        return len(await stage.quarantined()) == 1

    await until(is_quarantined, "the unfit one is put aside")
    await until(stage.nothing_is_left, "nothing waits")
    await shell.stop()


async def test_bytes_that_are_no_event_are_quarantined_at_once(stage: Stage):
    shell, _ = await stage.shell()
    await stage.publish(b"\xff\x00 not JSON")
    await stage.publish(encode(CloudEvent(id="1", source="/x", type="WorkflowTriggered", data=msgspec.Raw(b"{}"))))
    await stage.say("a", 1)
    await until(lambda: len(stage.heard) == 1, "the neighbour is counted")

    async def are_quarantined() -> bool:
        return len(await stage.quarantined()) == 2

    await until(are_quarantined, "both are put aside")
    reasons = {aside["reason"]: aside.get("body_encoding", "text") for aside in await stage.quarantined()}
    assert reasons.pop("a message without a word") == "text"
    assert list(reasons.values()) == ["base64"]
    await until(stage.nothing_is_left, "nothing waits")
    await shell.stop()


async def test_a_lost_race_is_decided_again(stage: Stage):
    first, _ = await stage.shell()
    await stage.say("a", 1)
    await until(lambda: len(stage.heard) == 1, "the first counts")
    await first.stop()
    stale = Tally(stage.log, stage.namespace)
    second, _ = await stage.shell(stale)
    await stage.say("a", 2)
    await until(lambda: len(stage.heard) == 2, "the second counts")
    rival = Tally(stage.log, stage.namespace)
    await rival.load(["a"], [])
    work = rival.decide("a", [_command(stage, "a", 3)])
    assert work.append is not None
    await stage.log.append([work.append])
    await stage.say("a", 4)
    await until(lambda: {"word": "a", "seq": 4} in stage.heard, "the third counts in spite of the rival")
    assert stale.forgotten == 1
    assert [seq for _, seq in await stage.counted()] == [1, 2, 3, 4]
    await second.stop()


async def test_an_append_whose_outcome_is_unknown_is_read_back_and_said(stage: Stage):
    stage.log = log = Flaky()
    log.faults = ["after"]
    shell, _ = await stage.shell(log=log)
    await stage.say("a", 1)
    await until(lambda: stage.heard == [{"word": "a", "seq": 1}], "it is counted once, and told")
    assert await stage.counted() == [("a", 1)]
    await until(stage.nothing_is_left, "everything is acknowledged")
    await shell.stop()


async def test_a_log_that_does_not_answer_loses_nothing(stage: Stage):
    stage.log = log = Flaky()
    log.faults = ["before"] * 4
    shell, _ = await stage.shell(log=log)
    for seq in range(20):
        await stage.say("a", seq)
    await until(lambda: len(stage.heard) == 20, "all are counted when it answers again")
    await until(stage.nothing_is_left, "everything is acknowledged")
    await shell.stop()


async def test_the_next_owner_says_what_was_logged_and_not_said(stage: Stage):
    unsaid = Tally(stage.log, stage.namespace)
    await unsaid.load(["a"], [])
    work = unsaid.decide("a", [_command(stage, "a", 7)])
    assert work.append is not None
    await stage.log.append([work.append])
    shell, _ = await stage.shell()
    await until(lambda: stage.heard == [{"word": "a", "seq": 7}], "it is said at take-over")
    await shell.stop()
    assert await stage.log.get_cursor("said:execution") == 1
    again, _ = await stage.shell()
    await stage.say("a", 8)
    await until(lambda: len(stage.heard) == 2, "the next one is told")
    assert stage.heard == [{"word": "a", "seq": 7}, {"word": "a", "seq": 8}]
    await again.stop()


async def test_a_consumer_that_was_deleted_is_noticed(stage: Stage):
    shell, _ = await stage.shell()
    await stage.client.jetstream().delete_consumer(stage.subjects.runs_stream, "execution")
    await stage.say("a", 1)
    await until(lambda: len(stage.heard) == 1, "the consumer is there again and nothing is lost")
    await shell.stop()


async def test_a_command_is_answered_once_its_event_is_logged(stage: Stage):
    shell, _ = await stage.shell()
    inbox = stage.client.new_inbox()
    answers: list[Any] = []

    async def answered(message: Any) -> None:
        answers.append(msgspec.json.decode(message.data))

    await stage.client.subscribe(inbox, cb=answered)
    await shell.command("commands", stage.body("a", 1), inbox)
    await shell.command("commands", b"no event", inbox)
    await until(lambda: len(answers) == 2, "both are answered")
    assert {"ok": {"count": 1}} in answers
    assert any("refused" in answer and answer["refused"]["status"] == 400 for answer in answers)
    await shell.stop()


async def test_a_stop_finishes_what_is_under_way(stage: Stage):
    shell, _ = await stage.shell()
    for seq in range(200):
        await stage.say("a", seq)
    await shell.stop()
    logged = len(await stage.counted())
    assert await stage.log.get_cursor("said:execution") == logged
    second, _ = await stage.shell()
    await until(lambda: len({said["seq"] for said in stage.heard}) == 200, "the next owner does the rest")
    assert [seq for _, seq in await stage.counted()] == list(range(200))
    await second.stop()


def _command(stage: Stage, word: str, seq: int) -> Any:
    from infra.bus import Message

    body = stage.body(word, seq)
    return Message("s", body, msgspec.json.decode(body, type=CloudEvent), "log", "")


async def test_a_lone_message_waits_for_nobody(stage: Stage):
    shell, _ = await stage.shell()
    await stage.say("a", 0)
    await until(lambda: len(stage.heard) == 1, "warm")
    loop, times = asyncio.get_running_loop(), list[float]()
    for seq in range(1, 30):
        start = loop.time()
        await stage.say("a", seq)
        while len(stage.heard) <= seq:
            await asyncio.sleep(0)
        times.append(loop.time() - start)
    assert sorted(times)[len(times) // 2] < 0.05
    await shell.stop()


class Alphabetical(Tally):
    """Words that come together are counted in their order."""

    def ranked(self, keys: Collection[Hashable]) -> Collection[Hashable]:
        return sorted(keys, key=str)


async def test_what_is_ranked_first_is_logged_and_said_first_whatever_came_first(stage: Stage):
    for seq, word in enumerate("zebra"):
        await stage.say(word, seq)
    shell, _ = await stage.shell(Alphabetical(stage.log, stage.namespace))
    await until(lambda: len(stage.heard) == 5, "all are told")
    assert [word for word, _ in await stage.counted()] == [said["word"] for said in stage.heard] == list("aberz")
    await shell.stop()


async def test_an_event_whose_sender_gave_it_the_headers_of_the_server_is_an_event(stage: Stage):
    shell, _ = await stage.shell()
    for seq, status in enumerate(("100", "408", "503", "anything")):
        headers = {"Status": status, "Nats-Pending-Messages": "no number"}
        subject = stage.subjects.run("w", str(seq), "WorkflowTriggered")
        await stage.client.jetstream().publish(subject, stage.body("a", seq), headers=headers)
    await until(lambda: len(stage.heard) == 4, "all are counted")
    await until(stage.nothing_is_left, "everything is acknowledged")
    await shell.stop()
