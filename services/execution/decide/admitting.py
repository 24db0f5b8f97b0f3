"""Whether an attempt may be handed out now: places under limits, circuit breakers, outputs that may be used again."""

import hashlib
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec
from flowforge.definition import WebhookNode
from flowforge.events import NodeStarted, NodeWaiting
from flowforge.raw import field

from services.execution import inputs
from services.execution.decide.ending import complete, output_name
from services.execution.decide.step import Step
from services.execution.settings import CACHE_KEY_CHARS_MAX
from services.execution.state import Unit

_encode = msgspec.json.Encoder(order="sorted").encode


def waits_for_place(step: Step, unit: Unit, attempt: int) -> bool:
    """Whether there is no room for the attempt; it waits then, which is told once for each limit that it meets."""
    if step.around is None:
        return False
    wait = step.around.place_lacking(step.run, unit, step.now)
    if wait is None:
        return False
    if unit.wait != wait:
        step.emit(NodeWaiting(node_id=unit.node_id, instance=unit.instance, attempt=attempt, wait=wait))
    return True


def waits_for_breaker(step: Step, unit: Unit, attempt: int, breaker: str) -> bool:
    """Whether the breaker lets nothing through; told once. The attempt waits until the breaker does, however often that
    has opened again meanwhile. Raises `NotLoaded`."""
    if step.around is None or not breaker:
        return False
    wait = step.around.breaker_closed_to(breaker, step.run, unit, attempt, step.now)
    if wait is None:
        return False
    if not unit.is_held or getattr(unit.wait, "breaker", None) != breaker:
        step.emit(NodeWaiting(node_id=unit.node_id, instance=unit.instance, attempt=attempt, wait=wait))
    return True


def breaker_of(unit: Unit, payload: msgspec.Raw) -> str:
    """The breaker that the attempt has to pass: of its job type, of a webhook that of its host; "" where there is none."""
    node = unit.plan.node
    if node.circuit_breaker is None:
        return ""
    if not isinstance(node, WebhookNode):
        return f"job:{unit.plan.job_type}"
    url: object = cast("dict[str, Any]", msgspec.json.decode(payload)).get("url")
    try:
        host = urlsplit(url).hostname if isinstance(url, str) else None
    except ValueError:
        host = None
    return f"host:{host}" if host else "job:webhook"


def cache_key(step: Step, unit: Unit, own: dict[str, Any]) -> str:
    """Under which key the node's output may be used again; "" where the template gives null or "". Raises
    `EvaluationFault`."""
    template = unit.plan.cache_key
    if template is None:
        return ""
    value = inputs.render(step.run, template, step.now, unit, **own)
    if value is None or value == "":
        return ""
    text = value if isinstance(value, str) else _encode(value).decode()
    return text if len(text) <= CACHE_KEY_CHARS_MAX else f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def uses_earlier(step: Step, unit: Unit, attempt: int, key: str, given: tuple[Any, str | None]) -> bool:
    """Whether an earlier output is there: then it is the node's, and nothing is handed out. Raises `NotLoaded`."""
    if step.around is None or not key:
        return False
    earlier = step.around.earlier_output(step.run, output_name(step.run, unit, key))
    if earlier is None:
        return False
    if earlier.reference is not None:
        step.run.blobs[earlier.reference] = earlier.value
    step.emit(
        NodeStarted(
            node_id=unit.node_id,
            instance=unit.instance,
            attempt=attempt,
            input=field(given[0]),
            input_from=given[1],
        )
    )
    complete(step, unit, earlier.output, cached_from=earlier.whose)
    return True
