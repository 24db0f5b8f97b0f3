"""A command that is put aside is logged without the secrets in it."""

import msgspec
import pytest

from infra.bus.message import without_secrets


@pytest.mark.parametrize(
    "command",
    [
        b'{"trigger":{"config":{"secret":"canary","filter":"x"}}}',
        b'{"items":[{"patch":{"config":{"secret":["canary","canary2"]}}}]}',
        b'{"definition_packed":"canary"}',
        b'{"\\u0073ecret":"canary"}',
        b'{"secret":{"a":"canary"}}',
        b'{"secret":"canary',
        b"canary \xff",
        b"[" * 100_000 + b"canary",
    ],
)
def test_no_secret_is_shown(command: bytes):
    assert b"canary" not in without_secrets(command)


def test_all_else_is_as_it_was():
    command = b'{"a":[1,{"b":null}],"secret":"x","c":"secret"}'
    assert msgspec.json.decode(without_secrets(command)) == {"a": [1, {"b": None}], "secret": "***", "c": "secret"}
