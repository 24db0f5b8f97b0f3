"""Backfills as the turn carries them out: asked for by command, logged first, then fired portion by portion."""

import logging
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import msgspec
from flowforge.commands import BackfillSchedule
from flowforge.events import BackfillRequested, decode, encode
from flowforge.identity import identity_key
from flowforge.refusals import Accepted, Refusal, Rejected, invalid, invalid_state, not_found

from infra.bus import Message, Work
from infra.eventlog import Append, EventLog, NewEvent, StoredEvent, StreamAppend
from infra.schedules import ScheduleFault
from services.scheduler.backfill import Backfill, Book, Planned, answer, backfill_stream, plan, requested, span_of
from services.scheduler.definitions import FIRED, Schedules, workflow_in_log
from services.scheduler.schedules import ScheduleKey
from services.scheduler.settings import REBUILD_PAGE_COUNT

ASK = BackfillSchedule.__name__
REQUESTED = BackfillRequested.__name__
CURSOR = "backfills:scheduler"
"""Backfills that the log holds up to there have ended."""
_log = logging.getLogger(__name__)
_command = msgspec.json.Decoder(BackfillSchedule)
_encode = msgspec.json.encode


class Asked(msgspec.Struct, frozen=True):
    """The key of commands: of one schedule they are carried out one after another."""

    schedule: ScheduleKey


class Portion(msgspec.Struct, frozen=True):
    """The key of a backfill whose turn it is."""

    backfill_id: UUID


class _Logging(msgspec.Struct):
    """A command that was granted and waits for the log."""

    message: Message
    fact: BackfillRequested


class Backfills:
    """Those under way, and the commands of this turn."""

    def __init__(self, log: EventLog, schedules: Schedules) -> None:
        self.book = Book()
        self._log = log
        self._schedules = schedules
        self._is_open = False
        self._ready: dict[int, tuple[BackfillSchedule, Planned] | bytes] = {}
        self._logging: dict[Asked, _Logging] = {}
        self._versions: dict[ScheduleKey, int] = {}
        self._ended_position = self._kept_position = 0

    # --- load -----------------------------------------------------------------------------------------------------

    async def refresh(self, now: datetime) -> None:
        """Take up those that had not ended, where the log may hold some that are not known. May raise `Unavailable`."""
        if self._is_open:
            return
        position = await self._log.get_cursor(CURSOR)
        while True:
            page = await self._log.read(position, REBUILD_PAGE_COUNT, types={REQUESTED}, named_only=True)
            for stored in page:
                self._take_in(stored, now, is_checked=False)
            if len(page) < REBUILD_PAGE_COUNT:
                break
            position = page[-1].position
        self._is_open = True

    async def prepare(self, messages: Sequence[Message], now: datetime) -> None:
        """Find out what these commands are answered. May raise `Unavailable`."""
        self._ready.clear()
        for message in messages:
            self._ready[id(message)] = await self._prepared(message, now)

    async def _prepared(self, message: Message, now: datetime) -> tuple[BackfillSchedule, Planned] | bytes:
        try:
            command = _command.decode(message.event.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
            return _answer(invalid("Malformed command", str(fault), [{"path": "$", "message": str(fault)}]))
        if not command.dry_run and (before := await self._answered_before(command)) is not None:
            return before
        planned = await self._planned(command, now)
        if isinstance(planned, Refusal):
            return _answer(planned)
        return _answer(planned.preview()) if command.dry_run else (command, planned)

    async def _answered_before(self, command: BackfillSchedule) -> bytes | None:
        identity = _identity(command)
        position = (await self._log.find_identities([identity])).get(identity)
        stored = None if position is None else await self._log.read_position(position)
        if stored is None:
            return None
        return _answer(answer(_requested(stored), stored.position))

    async def _planned(self, command: BackfillSchedule, now: datetime) -> Planned | Refusal:
        workflow = self._schedules.workflow(command.workflow_id)
        if workflow is None or command.trigger_id not in workflow.triggers:
            return await self._not_there(command)
        span = span_of(workflow, command, now)
        if isinstance(span, Refusal):
            return span
        key, streams = span.key, span.streams
        logged: set[UUID] = set()
        for start in range(0, len(streams), REBUILD_PAGE_COUNT):
            found = await self._log.read_streams(streams[start : start + REBUILD_PAGE_COUNT])
            logged |= {stream_id for stream_id, events in found.items() if events}
        stream_id, known = backfill_stream(key), self._versions.get(key, 0)
        self._versions[key] = known + len(await self._log.read_stream(stream_id, known))
        return plan(command, span, logged, self.book.coming(key), self._schedules.calendar.entries.get(key))

    async def _not_there(self, command: BackfillSchedule) -> Refusal:
        """Workflows without schedules are not in memory."""
        triggers = await workflow_in_log(self._log, command.workflow_id)
        if triggers is None:
            return not_found("workflow", command.workflow_id)
        if command.trigger_id not in triggers:
            return not_found(f"trigger of '{command.workflow_id}'", command.trigger_id)
        kind = triggers[command.trigger_id]
        if kind == "schedule":  # it was saved by other code than this
            return invalid_state(
                f"the newest version of '{command.workflow_id}' cannot be read; save it, then backfill"
            )
        detail = f"'{command.trigger_id}' is no schedule but of type {kind}: it has no past times; name a schedule"
        return invalid("No schedule", detail, [{"path": "path.trigger_id", "message": detail}])

    async def check(self, keys: Collection[Portion]) -> None:
        """Hold what is left against the log, where some of it may have fired. May raise `Unavailable`."""
        for key in keys:
            backfill = self.book.under_way.get(key.backfill_id)
            if backfill is None or backfill.is_checked:
                continue
            streams = await self._log.read_streams(list(backfill.left))
            backfill.forget([stream_id for stream_id, events in streams.items() if events])
            backfill.is_checked = True

    # --- decide ---------------------------------------------------------------------------------------------------

    def decide_asked(self, key: Asked, messages: Sequence[Message], now: datetime) -> Work:
        """Answers, up to the first that is to be logged; those after it are looked at again when it is."""
        answers: list[tuple[Message, bytes]] = []
        for number, message in enumerate(messages):
            ready = self._ready.pop(id(message))
            if isinstance(ready, bytes):
                answers.append((message, ready))
                continue
            command, planned = ready
            fact = requested(command, planned, now)
            self._logging[key] = _Logging(message, fact)
            stream = StreamAppend(
                "backfill",
                backfill_stream(key.schedule),
                self._versions[key.schedule],
                [NewEvent(REQUESTED, encode(fact))],
                _identity(command),
            )
            append = Append([stream], now, actor=command.actor or None, definitions_position=self._schedules.position)
            return Work(append, answers=[*answers, (message, b"")], later=list(messages[number + 1 :]))
        return Work(answers=answers)

    def decide_portion(self, key: Portion, now: datetime) -> Work:
        """The next firings of the backfill."""
        backfill = self.book.under_way.get(key.backfill_id)
        portion = [] if backfill is None else backfill.portion()
        if backfill is None or not portion:
            self._placed(key, now)
            return Work()
        streams = [StreamAppend("schedule", id_, 0, [NewEvent(FIRED, encode(fact))]) for id_, fact in portion]
        cause = backfill.event_id
        return Work(Append(streams, now, correlation_id=cause, causation_id=cause, actor=backfill.actor))

    # --- afterwards -----------------------------------------------------------------------------------------------

    def logged_asked(self, key: Asked, work: Work, stored: StoredEvent, now: datetime) -> None:
        """It is under way."""
        granted = self._logging.pop(key)
        self._versions[key.schedule] = stored.version
        self._take_in(stored, now, is_checked=True)
        told = _answer(answer(granted.fact, stored.position))
        work.answers = [(message, told if message is granted.message else body) for message, body in work.answers]

    def logged_portion(self, key: Portion, events: Sequence[StoredEvent], now: datetime) -> None:
        """These have fired."""
        backfill = self.book.under_way.get(key.backfill_id)
        if backfill is not None:
            backfill.forget([event.stream_id for event in events])
        self._placed(key, now)

    def refused(self, key: Asked | Portion) -> None:
        """Somebody was faster: the log is looked at again."""
        if isinstance(key, Asked):
            self._logging.pop(key, None)
            self._is_open = False  # it may be in the log all the same, its answer lost: then it is to be carried out
        elif (backfill := self.book.under_way.get(key.backfill_id)) is not None:
            backfill.is_checked = False

    def _placed(self, key: Portion, now: datetime) -> None:
        self.book.placed(key.backfill_id, now)

    def _take_in(self, stored: StoredEvent, now: datetime, *, is_checked: bool) -> None:
        fact = _requested(stored)
        self._ended_position = max(self._ended_position, stored.position)
        try:
            backfill = Backfill(fact, stored.position, stored.event_id, stored.actor, is_checked=is_checked)
        except (ScheduleFault, msgspec.DecodeError) as fault:
            _log.error("the backfill %s of %s cannot be read: %s", fact.backfill_id, fact.workflow_id, fault)
            return
        self.book.take_in(backfill, now)

    async def keep(self) -> None:
        """Remember up to where all have ended. May raise `Unavailable`."""
        under_way = self.book.under_way.values()
        ended = min((backfill.position - 1 for backfill in under_way), default=self._ended_position)
        if ended > self._kept_position:
            await self._log.set_cursor(CURSOR, ended)
            self._kept_position = ended


def key_of(message: Message) -> Asked:
    """The schedule that a command is for. Raises ValueError for what cannot be read."""
    try:
        command = _command.decode(message.event.data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Asked(("", message.reply_to))  # it is answered so
    return Asked((command.workflow_id, command.trigger_id))


def _identity(command: BackfillSchedule) -> bytes:
    return identity_key("command", command.command_id)


def _requested(stored: StoredEvent) -> BackfillRequested:
    return cast("BackfillRequested", decode(stored.type, stored.data))


def _answer(content: dict[str, Any] | Refusal) -> bytes:
    return _encode(Rejected(content) if isinstance(content, Refusal) else Accepted(content))
