"""What a handler takes that the framework cannot see, since bodies are read here: for the description of the interface."""

from typing import Any

BODY = "flowforge_body"


def takes(shape: Any) -> dict[str, Any]:
    """For the `opt` of a handler: the type of its JSON body."""
    return {BODY: shape}
