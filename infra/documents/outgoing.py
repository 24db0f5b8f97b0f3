"""What FlowForge itself posts to the address of a subscription, as the `webhooks` of the OpenAPI document."""

from typing import Any

_TEXT: dict[str, Any] = {"type": "string"}
_NUMBER: dict[str, Any] = {"type": "string", "pattern": "^[0-9]+$"}
_HEADERS: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("webhook-id", {"type": "string", "format": "uuid"}, "The event's id, the same in every attempt: who has it skips it"),
    ("webhook-timestamp", _NUMBER, "When this attempt was made, in seconds since 1970; refuse what is old"),
    ("webhook-signature", _TEXT,
     "`v1,` and the HMAC-SHA256 of `<id>.<timestamp>.<body>` in base64; two of them for a day after a new secret"),
    ("flowforge-subscription", _TEXT, "The subscription's id"),
    ("flowforge-attempt", _NUMBER, "Which attempt this is, from 1"),
)  # fmt: skip
_EXAMPLE: dict[str, Any] = {
    "specversion": "1.0",
    "id": "019ca945-2b5d-764f-be2e-79b6b73f502e",
    "source": "/flowforge/run/019ca945-2b5d-764f-be2e-79b6b73f5000",
    "type": "RunFailed",
    "time": "2026-01-31T12:00:00Z",
    "data": {"error": {"code": "NODE_EXECUTION_FAILED", "message": "extract failed"}},
    "position": 4711,
    "streamversion": 12,
}


def webhooks(event: dict[str, Any]) -> dict[str, Any]:
    """`event`: the schema of a CloudEvent."""
    content = {"application/cloudevents+json": {"schema": event, "example": _EXAMPLE}}
    return {
        "subscribedEvent": {
            "post": {
                "operationId": "post_event_to_subscriber",
                "summary": "Receive an event that was subscribed to",
                "description": (
                    "Each run event that a subscription's filter means, signed as Standard Webhooks 1.0. What is not answered "
                    "with 2xx is posted again, later and later, for hours; `Retry-After` is heeded, redirects are not followed."
                ),
                "tags": ["subscriptions"],
                "security": [],
                "parameters": [
                    {"name": name, "in": "header", "required": True, "schema": schema, "description": text}
                    for name, schema, text in _HEADERS
                ],
                "requestBody": {"required": True, "content": content},
                "responses": {
                    "2XX": {"description": "Taken"},
                    "410": {"description": "No more of this: the subscription is paused"},
                    "default": {"description": "Not now: posted again later"},
                },
            }
        }
    }
