"""Secrets by name as the shell runs them: what is their own among the things saved as versions; and their values.

What no name stands for any more is removed: a value that was replaced or deleted is gone from the table of secrets some
minutes later, whatever happened in between.
"""

import time
from collections.abc import Callable, Iterable
from datetime import datetime
from operator import attrgetter

from flowforge.commands import DeleteSecret, SetSecret
from flowforge.events import SecretEvent
from flowforge.identity import lasting_stream
from flowforge.refusals import Refusal

from infra.eventlog import EventLog
from infra.secrets import Secrets, owner_of_named
from services.catalog.answers import Saved, accepted
from services.catalog.decided import Decided
from services.catalog.named_secrets import Secret, decide, evolve, initial
from services.catalog.settings import secrets_swept_every_s
from services.catalog.validation import Finding
from services.catalog.versioned import Kind, Versioned


def secret_names(log: EventLog, namespace: str, clock: Callable[[], datetime]) -> Versioned[Secret]:
    """The part of catalog that has to do with secrets by name. Nobody is told of them on the bus."""
    kind = Kind(
        word="secret",
        commands=(SetSecret, DeleteSecret),
        id_of=attrgetter("name"),
        stream=lambda name: lasting_stream("secret", name),
        initial=initial,
        evolve=evolve,
        decide=_decided,
        answer=_answer,
    )
    return Versioned(kind, log, namespace, clock)


def _decided(state: Secret, command: SetSecret | DeleteSecret) -> Decided[SecretEvent] | Refusal:
    events = decide(state, command)
    return events if isinstance(events, Refusal) else Decided(events)


def _answer(name: str, saved: Saved, warnings: list[Finding]) -> bytes:
    assert not warnings
    return accepted({"name": name, "version": saved.version, "position": saved.position})


async def values_of(named: Versioned[Secret], secrets: Secrets, names: Iterable[str]) -> dict[str, str]:
    """The values of these secrets now; those that are not kept are left out. May raise `Unavailable`, WrongKey."""
    found: dict[str, str] = {}
    for name, state in (await named.states(names)).items():
        kept = await secrets.get(owner_of_named(name), [state.ref]) if state.ref else {}
        if state.ref in kept:
            found[name] = kept[state.ref]
    return found


class Sweeping:
    """Removes values that no name stands for, now and then."""

    def __init__(self, named: Versioned[Secret], secrets: Secrets) -> None:
        self._named = named
        self._secrets = secrets
        self._swept_at = 0.0

    async def tick(self) -> None:
        """If it is time. May raise `Unavailable`, WrongKey."""
        if time.monotonic() < self._swept_at + secrets_swept_every_s:
            return
        self._swept_at = time.monotonic()
        prefix = owner_of_named("")
        for owner in await self._secrets.owners(prefix):
            state = await self._named.state(owner.removeprefix(prefix))
            await self._secrets.forget_others(owner, state.ref)
