"""What a handler takes and gives that the framework cannot see, since bodies are read and written here: for the description
of the interface, in the `opt` of the handler.
"""

from typing import Any

BODY, BODY_EXAMPLE, BODY_TYPES, ANSWER, ANSWER_EXAMPLE = (
    f"flowforge_{name}" for name in ("body", "body_example", "body_types", "answer", "answer_example")
)
VERSIONED_KEY = "flowforge_versioned"
TAGGED_KEY = "flowforge_tagged"
MADE_KEY = "flowforge_made"
STREAM_KEY = "flowforge_stream"
KEYLESS_KEY = "flowforge_without_idempotency_key"

VERSIONED: dict[str, Any] = {VERSIONED_KEY: True}
"""It takes `If-Match`."""
TAGGED: dict[str, Any] = {TAGGED_KEY: True}
"""Its answer has an ETag."""
MADE: dict[str, Any] = {MADE_KEY: True}
"""`Location` of its answer is the address of what was made."""
STREAMED: dict[str, Any] = {STREAM_KEY: True}
"""It may answer with server-sent events."""
READS_ONLY: dict[str, Any] = {KEYLESS_KEY: True}
"""It is asked for with POST and stores nothing, or knows by itself what it has done already: no `Idempotency-Key`."""


def takes(shape: Any, example: Any = None, *, media_types: tuple[str, ...] = ("application/json",)) -> dict[str, Any]:
    """The type of its body, an example, and as what it may be sent."""
    return {BODY: shape, BODY_EXAMPLE: example, BODY_TYPES: media_types}


def gives(shape: Any, example: Any = None) -> dict[str, Any]:
    """The type of its answer, where it is carried out, and an example; several types in a tuple."""
    return {ANSWER: shape, ANSWER_EXAMPLE: example}
