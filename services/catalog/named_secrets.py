"""Secrets that workflows name, as catalog decides on them: what each name stands for now, as a reference. Pure."""

import re
from typing import assert_never

import msgspec
from flowforge.commands import DeleteSecret, SetSecret
from flowforge.definition import IDENTIFIER_PATTERN
from flowforge.events import SecretDeleted, SecretEvent, SecretSet
from flowforge.refusals import Refusal, invalid, not_found


class Secret(msgspec.Struct, frozen=True):
    """One name: how often it was set, and the reference of its value, empty where it has none."""

    version: int = 0
    ref: str = ""


initial = Secret()


def evolve(state: Secret, event: SecretEvent) -> Secret:
    """What the name stands for after the event."""
    match event:
        case SecretSet():
            return Secret(event.secret_version, event.ref)
        case SecretDeleted():
            return Secret(state.version)
        case _:
            assert_never(event)


def decide(state: Secret, command: SetSecret | DeleteSecret) -> list[SecretEvent] | Refusal:
    """The event that carries the command out; none where the value is the same already."""
    match command:
        case SetSecret():
            if not re.fullmatch(IDENTIFIER_PATTERN, command.name):
                return _bad_name(command.name)
            if command.ref == state.ref:
                return []
            return [SecretSet(name=command.name, secret_version=state.version + 1, ref=command.ref)]
        case DeleteSecret():
            return [SecretDeleted(name=command.name)] if state.ref else not_found("secret", command.name)
        case _:
            assert_never(command)


def _bad_name(name: str) -> Refusal:
    message = f"'{name[:100]}' is no name of a secret: a letter or `_`, then letters, digits and `_`, at most 63 in all"
    return invalid("Name invalid", message, [{"path": "$.name", "message": message}])
