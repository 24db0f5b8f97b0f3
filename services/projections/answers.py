"""Questions of other services that only the read models can answer, as request and reply."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import msgspec
from flowforge import envelope as envelopes
from flowforge.commands import FindDeadLetter, FindRuns, RetryDeadLetter
from flowforge.envelope import NotAnEvent
from flowforge.refusals import Accepted, Refusal, Rejected, invalid_state, not_found, unavailable
from nats.aio.msg import Msg

from infra.eventlog import EventLog, Unavailable
from services.projections.conditions import Conditions
from services.projections.labelled import newest_runs
from services.projections.settings import AnswerSettings

_POSITION = "select position from projections.checkpoint"
_KNOWN = "select run_id from projections.runs where run_id = any($1)"
_DEAD_LETTER = "select stream_id, service, status from projections.dead_letters where id = $1"
_find_runs = msgspec.json.Decoder(FindRuns)
_find_dead_letter = msgspec.json.Decoder(FindDeadLetter)
_retry_dead_letter = msgspec.json.Decoder(RetryDeadLetter)
_encode = msgspec.json.encode
_log = logging.getLogger(__name__)


class Answers:
    """Answers once the read models have what is logged when it is asked, or after `catch_up_wait_s` with what there is."""

    def __init__(self, log: EventLog, pool: asyncpg.Pool, settings: AnswerSettings) -> None:
        self._event_log = log
        self._pool = pool
        self._settings = settings
        self._position = 0
        self._moved = asyncio.Event()
        self._deeds: dict[str, Callable[[msgspec.Raw], Awaitable[Accepted | Rejected]]] = {
            FindRuns.__name__: self._runs,
            FindDeadLetter.__name__: self._dead_letter,
            RetryDeadLetter.__name__: _refuse_retry,
        }

    def stand_at(self, position: int) -> None:
        """The read models moved."""
        self._position = position
        self._moved.set()

    async def heard(self, message: Msg) -> None:
        """A question came."""
        await message.respond(_encode(await self._answer(message.data)))

    async def _answer(self, body: bytes) -> Accepted | Rejected:
        try:
            question = envelopes.decode(body)
            deed = self._deeds.get(question.type)
            if deed is None:
                raise NotAnEvent(f"projections do not know the question {question.type}")
            await self._catch_up()
            return await deed(question.data)
        except (NotAnEvent, msgspec.DecodeError) as fault:
            return Rejected(Refusal(code="MALFORMED", status=400, title="Malformed question", detail=str(fault)))
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, Unavailable) as fault:
            _log.warning("a question is not answered now: %s", fault)
            return Rejected(unavailable(f"the read models do not answer: {fault}"))

    async def _catch_up(self) -> None:
        wanted = (await self._event_log.head()).position
        deadline = time.monotonic() + self._settings.catch_up_wait_s
        while self._position < wanted:
            self._position = max(self._position, await self._pool.fetchval(_POSITION) or 0)
            left_s = deadline - time.monotonic()
            if self._position >= wanted or left_s <= 0:
                return
            self._moved.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, self._settings.checkpoint_poll_s)):
                    await self._moved.wait()

    async def _runs(self, data: msgspec.Raw) -> Accepted | Rejected:
        question = _find_runs.decode(data)
        conditions = (
            Conditions().add("workflow_id = {}", question.workflow_id).add("status = any({})", question.statuses)
        )
        conditions.add("trigger_type = {}", question.trigger_type).add("run_id = any({})", question.run_ids)
        conditions.add("created_at >= {}", question.since).add("created_at < {}", question.until)
        by_time = question.workflow_id is not None or question.since is not None or question.until is not None
        query = newest_runs(
            "run_id", conditions, question.labels, workflow_id=question.workflow_id, limit=question.limit, last=None,
            by_time=by_time,
        )  # fmt: skip
        found: list[Any] = [row["run_id"] for row in await self._pool.fetch(query, *conditions.values)]
        unknown: list[Any] = []
        if question.run_ids is not None:
            known = {row["run_id"] for row in await self._pool.fetch(_KNOWN, question.run_ids)}
            unknown = [run_id for run_id in question.run_ids if run_id not in known]
        has_more = len(found) > question.limit
        return Accepted({"run_ids": found[: question.limit], "unknown": unknown, "has_more": has_more})

    async def _dead_letter(self, data: msgspec.Raw) -> Accepted | Rejected:
        question = _find_dead_letter.decode(data)
        row = await self._pool.fetchrow(_DEAD_LETTER, question.dead_letter_id)
        return Rejected(not_found("dead letter", str(question.dead_letter_id))) if row is None else Accepted(dict(row))


async def _refuse_retry(data: msgspec.Raw) -> Accepted | Rejected:
    """Lines of jobs are all that projections put aside."""
    question = _retry_dead_letter.decode(data)
    return Rejected(
        invalid_state(f"dead letter {question.dead_letter_id} is a report of lines that nobody can read; they are lost")
    )
