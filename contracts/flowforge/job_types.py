"""Job-type triggers: six types of job that any workflow of an experiment may be started by (interface.md, 2.2).

Every workflow has all six, each off until somebody enables it. `normalised` is the one way to read them, whatever is
stored: a definition may be older than a type, or than a field.
"""

from collections.abc import Iterable
from typing import Annotated, Any, Literal, cast, get_args

import msgspec
from msgspec import Meta

TriggerType = Literal["TRAIN", "DOWNLOAD_MODEL", "LOAD_MODEL", "EXPORT_MODEL", "EVAL", "GENERATE"]
JobStatus = Literal["COMPLETE", "FAILED"]


class Blueprint(msgspec.Struct, frozen=True):
    """One of the six, as it is offered."""

    trigger_type: TriggerType
    name: str
    description: str
    default_is_enabled: bool = False


BLUEPRINTS: tuple[Blueprint, ...] = (
    Blueprint("TRAIN", "Training", "Starts when a job that trains a model completes."),
    Blueprint("DOWNLOAD_MODEL", "Model download", "Starts when a job that downloads a model completes."),
    Blueprint("LOAD_MODEL", "Model load", "Starts when a job that loads a model for use completes."),
    Blueprint("EXPORT_MODEL", "Model export", "Starts when a job that exports a model completes."),
    Blueprint("EVAL", "Evaluation", "Starts when a job that evaluates a model completes."),
    Blueprint("GENERATE", "Generation", "Starts when a job that generates with a model completes."),
)
TRIGGER_TYPES: tuple[str, ...] = get_args(TriggerType)
TRIGGER_IDS: dict[str, str] = {name.lower(): name for name in TRIGGER_TYPES}
"""Id of a job-type trigger → its type. No other trigger has such an id."""


class TriggerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Whether jobs of one type start the workflow.

    `on_failure`: also jobs that failed for good. `job_name`: only jobs of that name, exact or with `*`; a job of a run has
    its node's name and the node's id. `across_experiments`: jobs of any experiment, and of none.
    """

    trigger_type: TriggerType
    is_enabled: bool = False
    on_failure: bool = False
    job_name: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    across_experiments: bool = False

    @property
    def trigger_id(self) -> str:
        return self.trigger_type.lower()


def normalised(stored: object) -> list[TriggerConfig]:
    """Exactly the six, in the order of the blueprints. What is missing, unknown or unreadable is off; the last one counts."""
    items = cast("list[object]", stored) if isinstance(stored, list) else []
    found = {config.trigger_type: config for item in items if (config := _read(item)) is not None}
    return [
        found.get(one.trigger_type, TriggerConfig(trigger_type=one.trigger_type, is_enabled=one.default_is_enabled))
        for one in BLUEPRINTS
    ]


def _read(item: object) -> TriggerConfig | None:
    """None for a type that is none. Options of another shape may have meant anything, so then it is off."""
    if isinstance(item, TriggerConfig):
        return item
    fields = cast("dict[object, object]", item) if isinstance(item, dict) else {}
    name = fields.get("trigger_type")
    if not isinstance(name, str) or name not in TRIGGER_TYPES:
        return None
    known = {field: fields[field] for field in TriggerConfig.__struct_fields__ if field in fields}
    try:
        return msgspec.convert(known, TriggerConfig)
    except msgspec.ValidationError:
        return TriggerConfig(trigger_type=cast("TriggerType", name))


def shown(configs: Iterable[TriggerConfig]) -> list[dict[str, Any]]:
    """As people read them: `trigger_type` and `is_enabled` always, an option where it is set."""
    return [
        {
            "trigger_type": config.trigger_type,
            "is_enabled": config.is_enabled,
            **cast("dict[str, Any]", msgspec.to_builtins(config)),
        }
        for config in configs
    ]
