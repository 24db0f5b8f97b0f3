"""JSON text that stays text: payloads that most readers never look at.

Struct fields default to one of these two objects, by which msgspec knows that there is nothing to write.
"""

import msgspec

NULL = msgspec.Raw(b"null")
ABSENT = msgspec.Raw(b"")
"""No value at all, not even null."""


def present(raw: msgspec.Raw) -> msgspec.Raw | None:
    """The text, or None where there is none."""
    return raw if bytes(raw) else None


def field(raw: msgspec.Raw | None) -> msgspec.Raw:
    """The value for an optional field: the text, or `ABSENT` itself."""
    return ABSENT if raw is None or not bytes(raw) else raw
