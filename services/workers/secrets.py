"""Secrets of one job: asked for at the last moment, rendered into its payload, hidden in all that is told of it.

Execution leaves `${secrets.<name>}` and `${callback.url}` in the payload as they are. What opens a secret is never here:
catalog is asked, and seals its answer for this one question (`infra.secrets.asking`).
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any, Protocol

import msgspec
import nats
from flowforge import home
from flowforge.errors import ErrorCode, JobError, Unreachable
from flowforge.job import Job
from flowforge.subjects import Subjects
from nats.aio.client import Client
from nats.errors import Error as NatsError

from infra.expressions import EvaluationFault, ExpressionFault, Scope, compile_template
from infra.secrets.asking import Question, SecretsGiven, Unsealable, subject
from services.workers.settings import (
    secrets_answer_wait_s,
    secrets_connect_wait_s,
    secrets_retry_wait_s,
    secrets_tries_max,
)

_given = msgspec.json.Decoder(SecretsGiven)
_log = logging.getLogger(__name__)


class Unanswered(Exception):
    """Nobody answered a question for secrets, or not now; the message says what is known of it."""


class Asks(Protocol):
    """Whoever can be asked for secrets."""

    async def ask(self, question: Question) -> SecretsGiven:
        """The answer. Raises Unanswered."""
        ...


class SecretsOverNats:
    """Asks catalog over a connection of its own, which is opened by the first question."""

    def __init__(self, nats_url: str | None, namespace: str) -> None:
        self._nats_url = nats_url
        self._subject = subject(Subjects(namespace))
        self._client: Client | None = None
        self._opening = asyncio.Lock()

    async def ask(self, question: Question) -> SecretsGiven:
        """As promised by `Asks`; asks again while there is no answer."""
        body, reason = msgspec.json.encode(question.asked), ""
        for attempt in range(secrets_tries_max):
            if attempt:
                await asyncio.sleep(secrets_retry_wait_s)
            client = None
            try:
                client = await self._connected()
                answer = await client.request(self._subject, body, timeout=secrets_answer_wait_s)
            except (NatsError, OSError, TimeoutError, Unreachable) as fault:
                reason = f"catalog does not answer ({type(fault).__name__})"
                if isinstance(fault, TimeoutError):  # perhaps nothing goes over this connection any more
                    await self._leave(client)
                continue
            given = _given.decode(answer.data)
            if not given.is_worth_asking_again:
                return given
            reason = given.refused
        raise Unanswered(reason)

    async def close(self) -> None:
        """Let go of the connection."""
        if self._client is not None:
            await self._client.close()

    async def _leave(self, client: Client | None) -> None:
        """The next question goes over another connection; others that wait on this one ask again."""
        if client is not None and client is self._client:
            self._client = None
            await client.close()

    async def _connected(self) -> Client:
        async with self._opening:
            if self._client is None or self._client.is_closed:
                self._client = await nats.connect(
                    home.worker_nats_url(self._nats_url),
                    name="builtin-secrets",
                    connect_timeout=secrets_connect_wait_s,  # type: ignore[arg-type]  # nats-py sleeps it
                    allow_reconnect=False,  # the next question opens another, wherever NATS is by then
                    inbox_prefix=home.inbox_prefix(),
                    error_cb=_told,
                )
            return self._client


async def _told(fault: Exception) -> None:
    _log.warning("the connection that secrets are asked for on: %r", fault)


class JobSecrets:
    """The secrets of one job. Each is asked for once; a job that names none asks nobody."""

    def __init__(self, asks: Asks, job: Job) -> None:
        self._asks = asks
        self._job = job
        self._known: dict[str, str] = {}
        if job.callback_url:
            job.hide(job.callback_url, job.callback_url.rpartition("/")[2])

    async def resolve(self, value: Any) -> Any:
        """The part of a payload, its references rendered. Raises JobError, EXPRESSION_ERROR, naming what is missing."""
        try:
            template = compile_template(value, Scope.SECRETS, lazily=True)
            if "callback" in template.names and not self._job.callback_url:
                raise _unresolved(
                    "callback.url: only a webhook with wait_for_callback has an address to be called back at"
                )
            await self._ask(template.secret_names)
            return template.render({"secrets": self._known, "callback": {"url": self._job.callback_url}})
        except (ExpressionFault, EvaluationFault) as fault:
            raise _unresolved(str(fault)) from fault

    async def named(self, name: str) -> str:
        """The secret of that name. Raises JobError as `resolve`."""
        await self._ask([name])
        return self._known[name]

    async def _ask(self, names: Iterable[str]) -> None:
        wanted = sorted(set(names) - self._known.keys())
        if not wanted:
            return
        question = Question(self._job.run_id, self._job.node_id, wanted)
        try:
            given = await self._asks.ask(question)
            if given.missing:
                raise _unresolved(_absent(given.missing))
            if given.refused:
                raise _unresolved(f"secrets.{wanted[0]} cannot be read: {given.refused}")
            values = question.opened(given)
        except (Unanswered, Unsealable) as fault:
            raise JobError(f"secrets.{wanted[0]} cannot be read now: {fault}") from fault
        self._job.hide(*values.values())
        self._known |= values


def _absent(names: list[str]) -> str:
    told = ", ".join(f"secrets.{name}" for name in names)
    return f"there is no {told}: set it with `flowforge secrets set {names[0]}`"


def _unresolved(message: str) -> JobError:
    return JobError(message, code=ErrorCode.EXPRESSION_ERROR, retryable=False)
