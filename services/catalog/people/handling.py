"""People as the shell runs them: all users are one thing among those saved as versions. Nobody is told on the bus."""

from collections.abc import Callable
from datetime import datetime

from flowforge.people import PEOPLE, PEOPLE_COMMANDS, PEOPLE_STREAM

from infra.eventlog import EventLog
from services.catalog.answers import Saved, accepted
from services.catalog.people.decide import decide
from services.catalog.people.state import People, evolve, initial
from services.catalog.validation import Finding
from services.catalog.versioned import Kind, Versioned


def people(log: EventLog, namespace: str, clock: Callable[[], datetime]) -> Versioned[People]:
    """The part of catalog that has to do with users and keys."""
    kind = Kind(
        word=PEOPLE,
        commands=PEOPLE_COMMANDS,
        id_of=lambda _: "all",
        stream=lambda _: PEOPLE_STREAM,
        initial=initial,
        evolve=evolve,
        decide=decide,
        answer=_answer,
    )
    return Versioned(kind, log, namespace, clock)


def _answer(_: str, saved: Saved, warnings: list[Finding]) -> bytes:
    assert not warnings
    return accepted({"version": saved.version, "position": saved.position})
