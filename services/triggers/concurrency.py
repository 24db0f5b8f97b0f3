"""What a workflow's `concurrency` says about one run of it: which slots, and how many (pure)."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec
from flowforge.definition import Concurrency
from flowforge.events import SlotAwaited, SlotPlace, WorkflowTriggered
from flowforge.identity import lasting_stream

from infra.expressions import EvaluationFault, Scope, Template, compile_template
from services.triggers.admission import Asking, Limits
from services.triggers.cause import json_value
from services.triggers.settings import SHARED_COUNT_MAX, SLOT_KEY_CHARS_MAX, SLOTS_UNLIMITED
from services.triggers.state import Version, Workflow

Events = Mapping[str, object]
"""`event` and `events` as expressions see them."""


def asking_of(
    version: Version, run: WorkflowTriggered, input_data: msgspec.Raw, events: Events, *, is_override: bool = False
) -> Asking | None:
    """What the run has to ask for before it starts; None: nothing. `input_data` is whole. Raises Fault."""
    concurrency = version.definition.settings.concurrency
    if concurrency is None:
        return None
    place = _place(concurrency, run.workflow_id, _key(concurrency, version, run, input_data, events))
    return _asking(version, concurrency, run, place, is_override=is_override)


def asking_again(version: Version, run: WorkflowTriggered, asked_version: int) -> Asking | None:
    """What a run asks for that ended and is to go on: the same slots as when it started; None: nothing.

    Of a run that does not say which those were, they are those without a key.
    """
    concurrency = version.definition.settings.concurrency
    if concurrency is None or run.is_shadow:
        return None
    waited = run.waits
    place = (
        run.slot or _place(concurrency, run.workflow_id, "")
        if waited is None
        else SlotPlace(slot_id=waited.slot_id, key=waited.key, pool=waited.pool)
    )
    return _asking(version, concurrency, run, place, asked_version=asked_version)


def _place(concurrency: Concurrency, workflow_id: str, key: str) -> SlotPlace:
    scope = ("workflow", workflow_id) if concurrency.pool is None else ("pool", concurrency.pool)
    return SlotPlace(slot_id=lasting_stream("slot", *scope, key), key=key, pool=concurrency.pool)


def _asking(
    version: Version,
    concurrency: Concurrency,
    run: WorkflowTriggered,
    place: SlotPlace,
    *,
    is_override: bool = False,
    asked_version: int = 1,
) -> Asking:
    return Asking(
        run=run,
        slot_id=place.slot_id,
        limit=concurrency.limit,
        on_conflict=concurrency.on_conflict,
        key=place.key,
        pool=place.pool,
        waits_ms=version.definition.settings.queue_timeout_ms,
        is_override=is_override,
        asked_version=asked_version,
    )


def limits(workflows: Mapping[str, Workflow]) -> Limits:
    """How many may hold a slot before one that waits may: what the newest version of its workflow says now.

    One that no longer has `concurrency` waits for nobody; one that went to another pool keeps what it asked with.
    """

    def limit(asked: SlotAwaited) -> int:
        workflow = workflows.get(asked.workflow_id)
        if workflow is None or workflow.newest.fault:
            return asked.limit
        concurrency = workflow.newest.definition.settings.concurrency
        if concurrency is None:
            return SLOTS_UNLIMITED
        return concurrency.limit if concurrency.pool == asked.pool else asked.limit

    return limit


def _key(
    concurrency: Concurrency, version: Version, run: WorkflowTriggered, input_data: msgspec.Raw, events: Events
) -> str:
    """Raises Fault."""
    if concurrency.key is None:
        return ""
    template = _template(concurrency.key)
    bindings: dict[str, Any] = {"now": events["now"]} if "now" in template.names else {}
    if "input" in template.names:
        bindings["input"] = json_value("input", input_data)
    if "variables" in template.names:
        declared = {variable.name: variable.default_value for variable in version.definition.variables}
        given = {name: json_value(f"variables.{name}", value) for name, value in run.variables.items()}
        bindings["variables"] = declared | given
    if "run" in template.names:
        bindings["run"] = {
            "id": str(run.run_id),
            "workflow_id": run.workflow_id,
            "version": run.workflow_version,
            "trigger": {"type": run.trigger.type, "id": run.trigger.id},
            "labels": run.labels,
        }
    bindings |= {name: events[name] for name in ("event", "events") if name in template.names}
    value = template.render(bindings)
    key = value if isinstance(value, str) else _text(concurrency.key, value)
    if len(key) > SLOT_KEY_CHARS_MAX:
        raise EvaluationFault(concurrency.key, f"the key has {len(key):,} characters, at most {SLOT_KEY_CHARS_MAX}")
    return key


@lru_cache(maxsize=SHARED_COUNT_MAX)
def _template(written: str) -> Template:
    return compile_template(written, Scope.RUN_START, lazily=True)


def _text(written: str, value: object) -> str:
    try:
        return msgspec.json.encode(value, order="deterministic").decode()
    except (TypeError, UnicodeEncodeError, RecursionError) as problem:
        raise EvaluationFault(written, f"the key cannot be written as JSON: {problem}") from None
