"""Events of external systems over HTTP: CloudEvents in structured JSON, one or many."""

import asyncio
from typing import Any
from uuid import UUID

import msgspec
from flowforge.commands import ReceiveEvents
from flowforge.envelope import CloudEvent, NotAnEvent, decode_external
from flowforge.identity import named_stream
from litestar import Response, post

from infra.http.authentication import OPERATOR
from infra.http.described import takes
from infra.http.problems import Problem
from services.gateway import reply
from services.gateway.body import AnyRequest, json_body
from services.gateway.context import Gateway, gateway
from services.gateway.reply import Reply
from services.gateway.settings import events_bytes_per_command_max, events_per_request_max

EVENT_TYPES = frozenset({"application/json", "application/cloudevents+json", "application/cloudevents-batch+json"})
_ATTRIBUTES_BYTES_MAX = 64 * 1024
_list = msgspec.json.Decoder(list[msgspec.Raw])


@post("/", opt=OPERATOR | takes(CloudEvent | list[CloudEvent]), status_code=202, summary="Announce events")
async def publish(request: AnyRequest) -> Response[bytes]:
    """202 once they are logged: for one event `{id, source, event_id, position, duplicate, differs}`, for a list
    `{items, position}`.

    All of a list are checked before any is taken. An event whose `source` and `id` were received before is answered with
    the place of that first one and `duplicate: true`, and starts nothing; `differs: true` where it says something else.
    """
    body = await json_body(request, EVENT_TYPES)
    is_list = body.lstrip()[:1] == b"["
    events = _list.decode(body) if is_list else [msgspec.Raw(body)]
    _check(events, is_list=is_list, event_bytes_max=gateway(request).services.bytes_max - _ATTRIBUTES_BYTES_MAX)

    async def deed(command_id: str) -> Reply:
        items = await _received(gateway(request), request, command_id, events)
        if not is_list:
            return reply.of(202, items[0])
        return reply.of(202, {"items": items, "position": max(item["position"] for item in items)})

    return await gateway(request).once(request, body, deed)


def _check(events: list[msgspec.Raw], *, is_list: bool, event_bytes_max: int) -> None:
    if not 0 < len(events) <= events_per_request_max:
        raise Problem(422, f"a list has 1 to {events_per_request_max} events, this one {len(events)}", code="INVALID")
    faults: list[dict[str, Any]] = []
    for index, event in enumerate(events):
        path = f"$[{index}]" if is_list else "$"
        if len(event) > event_bytes_max:
            limit = event_bytes_max // 1024
            raise Problem(
                413, f"the event at {path} has {len(event) // 1024} KiB, the limit is {limit} KiB",
                code="PAYLOAD_TOO_LARGE",
            )  # fmt: skip
        try:
            decode_external(bytes(event))
        except NotAnEvent as fault:
            faults.append({"path": path, "message": str(fault)})
    if faults:
        detail = "; ".join(f"{fault['message']} (at {fault['path']})" for fault in faults[:3])
        raise Problem(422, detail, code="INVALID", title="Not a CloudEvent", errors=faults)


async def _received(
    here: Gateway, request: AnyRequest, command_id: str, events: list[msgspec.Raw]
) -> list[dict[str, Any]]:
    """The answers, in order; as many commands as the bus needs, all on their way at once."""
    commands = [
        ReceiveEvents(command_id=part_id(command_id, number), actor=request.user.name, events=part)
        for number, part in enumerate(parts(events))
    ]
    answers = await asyncio.gather(*(here.ask(request, command) for command in commands))
    return [item for answer in answers for item in answer["items"]]


def parts(events: list[msgspec.Raw]) -> list[list[msgspec.Raw]]:
    parts: list[list[msgspec.Raw]] = [[]]
    size = 0
    for event in events:
        if parts[-1] and size + len(event) > events_bytes_per_command_max:
            parts.append([])
            size = 0
        parts[-1].append(event)
        size += len(event)
    return parts


def part_id(command_id: str, number: int) -> str:
    """The id of the first part is the request's own."""
    return command_id if number == 0 else str(named_stream("command", f"{UUID(command_id)}/{number}"))
