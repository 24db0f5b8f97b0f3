"""Webhook triggers as the gateway knows them: what is in force now, verified here, and counted where it is turned away.

Verification is the gateway's, so that what strangers send goes no further, and no other process need open a secret.
What is in force is read from the log itself: the stream of the workflow above the version that is known, which is
nothing unless somebody saved meanwhile. So a secret counts from the moment its save is answered.
"""

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Protocol
from uuid import UUID

import msgspec
from flowforge.commands import CountRejections
from flowforge.definition import Trigger, WebhookConfig, WebhookTrigger
from flowforge.events import WorkflowCreated, WorkflowUpdated, decode
from flowforge.identity import named_stream, new_uuid

from infra.eventlog import StoredEvent
from infra.http.problems import Problem, unavailable
from infra.secrets import Secrets, WrongKey, owner_of_webhook
from services.gateway.deliveries import Challenge, Delivery, read
from services.gateway.settings import (
    rejections_looked_at_every_s,
    rejections_told_every_s,
    rejections_triggers_max,
    webhook_secrets_cached_max,
    webhook_workflows_cached_max,
)
from services.gateway.signatures import Unsigned, verify

_log = logging.getLogger(__name__)
_NOBODY, _NOBODYS = WebhookConfig(), token_hex(32)
"""Settings and secret of triggers that are not there."""
Named = tuple[str, str]
"""Workflow id, trigger id."""


class Streams(Protocol):
    """The part of the event log that is read here."""

    async def read_stream(self, stream_id: UUID, after_version: int = 0, limit: int | None = None) -> list[StoredEvent]:
        """As `EventLog` promises it. May raise `Unavailable`."""
        ...


class _Definition(msgspec.Struct):
    triggers: list[Trigger] = []


class _Known(msgspec.Struct):
    """The webhook triggers of a workflow, as of a version of its stream."""

    stream_version: int = 0
    configs: dict[str, WebhookConfig] = {}


_definition = msgspec.json.Decoder(_Definition)


class Webhooks:
    """Admits deliveries. Without `secrets` none can be verified."""

    def __init__(self, log: Streams, secrets: Secrets | None, clock: Callable[[], datetime]) -> None:
        self.rejections = Rejections()
        self._log = log
        self._secrets = secrets
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._opened: OrderedDict[tuple[str, str], str] = OrderedDict()

    async def admit(
        self, workflow_id: str, trigger_id: str, headers: Mapping[str, str], body: bytes
    ) -> Delivery | Challenge:
        """The delivery, if it may be believed. Raises `Problem`: 401, 415, 422; may raise `Unavailable`.

        Whoever cannot sign is answered alike, whether there is such a trigger or not.
        """
        config = (await self._configs(workflow_id)).get(trigger_id)
        now = self._clock()
        if config is None:  # as much work as for one that is there
            accepted, config = [_NOBODYS], _NOBODY
        else:
            accepted = await self._accepted(workflow_id, trigger_id, config, now)
        tolerance = timedelta(milliseconds=config.tolerance_ms)
        signed = verify(config.provider, accepted, headers, body, now, tolerance)
        if config is _NOBODY:
            raise turned_away()
        if isinstance(signed, Unsigned):
            self.rejections.note((workflow_id, trigger_id), signed.reason)
            raise turned_away(is_stale=signed.reason == "timestamp")
        try:
            return read(config.provider, headers, body, signed)
        except Problem:
            self.rejections.note((workflow_id, trigger_id), "body")
            raise

    async def _configs(self, workflow_id: str) -> dict[str, WebhookConfig]:
        known = self._known.get(workflow_id) or _Known()
        events = await self._log.read_stream(named_stream("workflow", workflow_id), known.stream_version)
        if events:
            known = _evolved(known, events)
            self._known[workflow_id] = known
            while len(self._known) > webhook_workflows_cached_max:
                self._known.popitem(last=False)
        return known.configs

    async def _accepted(self, workflow_id: str, trigger_id: str, config: WebhookConfig, now: datetime) -> list[str]:
        """The secrets that count now."""
        if self._secrets is None:
            raise unavailable("webhooks cannot be verified here: there is no key for secrets")
        owner = owner_of_webhook(workflow_id, trigger_id)
        wanted = [ref.id for ref in config.secret_refs if ref.expires_at is None or ref.expires_at > now]
        if missing := [name for name in wanted if (owner, name) not in self._opened]:
            try:
                found = await self._secrets.get(owner, missing)
            except WrongKey as fault:
                _log.error("%s", fault)
                raise unavailable(
                    "webhooks cannot be verified here: the key for secrets is not the right one"
                ) from None
            for name in missing:
                if name not in found:
                    _log.error("the secret %s of '%s' is lost: give the trigger a new one", name, owner)
            self._opened.update(((owner, name), value) for name, value in found.items())
        values = [self._opened[owner, name] for name in wanted if (owner, name) in self._opened]
        while len(self._opened) > webhook_secrets_cached_max:
            self._opened.popitem(last=False)
        return values


def _evolved(known: _Known, events: list[StoredEvent]) -> _Known:
    """An archived workflow keeps its triggers: they answer, and fire nothing."""
    known = msgspec.structs.replace(known, stream_version=events[-1].version)
    for stored in reversed(events):
        event = decode(stored.type, stored.data)
        if not isinstance(event, WorkflowCreated | WorkflowUpdated):
            continue
        try:
            triggers = _definition.decode(event.definition).triggers
        except msgspec.DecodeError as fault:
            _log.error("the webhooks of '%s' cannot be read: %s", event.workflow_id, fault)
            triggers = []
        known.configs = {one.id: one.config for one in triggers if isinstance(one, WebhookTrigger)}
        break
    return known


def turned_away(*, is_stale: bool = False) -> Problem:
    """401. Only who knows the secret is told that the signature was good and the time was not."""
    detail = (
        "the delivery is signed well, and its time is too far from now: send it anew, and check the clock"
        if is_stale
        else "there is no such webhook, or the delivery is not signed as it should be: check address, secret and headers"
    )
    return Problem(401, detail, code="UNAUTHORIZED", headers={"WWW-Authenticate": "Signature"})


class Rejections:
    """How many deliveries to which trigger were turned away, by reason, until it is told to triggers."""

    def __init__(self) -> None:
        self._counted: dict[Named, Counter[str]] = {}
        self._telling: dict[Named, CountRejections] = {}
        """What was sent and not answered: it is sent again as it is, so that it counts once."""
        self._told_at: dict[Named, float] = {}

    def note(self, named: Named, reason: str) -> None:
        """One more."""
        if named in self._counted or len(self._counted) < rejections_triggers_max:
            self._counted.setdefault(named, Counter())[reason] += 1

    def due(self, now_s: float) -> list[CountRejections]:
        """What is to be told now: the first at once, then one count a while for each trigger."""
        for named, told_at in list(self._told_at.items()):
            if now_s - told_at >= rejections_told_every_s:
                del self._told_at[named]
        for named in [name for name in self._counted if name not in self._told_at and name not in self._telling]:
            workflow_id, trigger_id = named
            self._told_at[named] = now_s
            self._telling[named] = CountRejections(
                command_id=str(new_uuid()),
                workflow_id=workflow_id,
                trigger_id=trigger_id,
                reasons=dict(self._counted.pop(named)),
            )
        return list(self._telling.values())

    def told(self, command: CountRejections) -> None:
        """It was answered."""
        self._telling.pop((command.workflow_id, command.trigger_id), None)

    async def tell(self, ask: Callable[[CountRejections], Awaitable[object]]) -> None:
        """Tell what is due, again and again, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(rejections_looked_at_every_s)
            for command in self.due(loop.time()):
                try:
                    await ask(command)
                except Problem as problem:
                    if problem.status >= 500:
                        _log.warning("rejected deliveries are not told yet: %s", problem.detail)
                        break
                self.told(command)
