"""Triggers, by type (interface.md, section 2)."""

from datetime import date, datetime
from typing import Annotated, Literal, cast, get_args

from msgspec import UNSET, Meta, UnsetType

from flowforge.definition.shapes import END, Dependency, Milliseconds, Part, PositiveMilliseconds, Slug, Template, Text


class FireLimit(Part, kw_only=True, frozen=True):
    """At most `max_fires` firings in any `per_ms` (a sliding window); more are suppressed, `limited`."""

    max_fires: Annotated[int, Meta(ge=1, le=10_000)]
    per_ms: PositiveMilliseconds


class TriggerFields(Part, kw_only=True, frozen=True):
    """What every trigger has. A match waits for `debounce_ms` of quiet, then `delay_ms`, and then counts for `limit`."""

    id: Slug
    name: Text = ""
    enabled: bool = True
    input: Template | UnsetType = UNSET
    delay_ms: PositiveMilliseconds | None = None
    debounce_ms: PositiveMilliseconds | None = None
    limit: FireLimit | None = None


class ManualConfig(Part, kw_only=True, frozen=True):
    """A manual trigger has no settings."""


class Batch(Part, kw_only=True, frozen=True):
    """Fires for several events at once: at the `count`th, or `window_ms` after the first."""

    count: Annotated[int, Meta(ge=1, le=10_000)]
    window_ms: PositiveMilliseconds


class EventConfig(Part, kw_only=True, frozen=True):
    """Which events fire: `event_type` and `source` exact or with `*`, `filter` CEL over `event`.

    With `absent_for_ms` it fires instead when no such event came for that long, since enabling or since the last one.
    """

    event_type: Annotated[str, Meta(min_length=1, max_length=512)]
    source: Annotated[str, Meta(min_length=1, max_length=512)] = "*"
    filter: str | None = None
    batch: Batch | None = None
    absent_for_ms: PositiveMilliseconds | None = None


JOIN_WINDOW_MS = 30 * 86_400_000


class Upstream(Part, kw_only=True, frozen=True):
    """A workflow whose runs count, and which of their endings do: `on_completion` is any."""

    workflow_id: Slug
    condition: Dependency = "on_success"


class DependencyConfig(Part, kw_only=True, frozen=True):
    """Fires when runs of other workflows end: of `any` upstream, or once `all` have.

    `window_ms`: how long a satisfied upstream waits for the others. `correlate_by` (CEL over the upstream `run`):
    upstreams join only with equal keys.
    """

    upstreams: Annotated[list[Upstream], Meta(min_length=1, max_length=100)]
    logic: Literal["any", "all"] = "any"
    window_ms: PositiveMilliseconds = JOIN_WINDOW_MS
    correlate_by: str | None = None


CatchUp = Literal["none", "latest", "all"]


class ScheduleConfig(Part, kw_only=True, frozen=True):
    """When it fires: `cron` (5 fields, or 6 with seconds first) or `every_ms`, in `timezone` (an IANA name).

    `start_at` and `end_at` belong to it; without an offset they are meant in `timezone`. `catch_up`: what is done about
    firings missed while nothing ran.
    """

    cron: str | None = None
    every_ms: int | None = None
    timezone: str = "UTC"
    start_at: datetime | None = None
    end_at: datetime | None = None
    exclude_dates: list[date] = []
    catch_up: CatchUp = "latest"
    jitter_ms: int = 0


WebhookProvider = Literal["standard", "github", "stripe", "slack"]
WEBHOOK_TOLERANCE_MS = 300_000
SECRET_OVERLAP_MS = 86_400_000


class SecretRef(Part, kw_only=True, frozen=True):
    """Stands for a secret that is kept elsewhere: a keyed fingerprint, and until when it is accepted."""

    id: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}" + END)]
    expires_at: datetime | None = None


class WebhookConfig(Part, kw_only=True, frozen=True):
    """Who may post to the trigger, and what of it fires (`filter`, CEL over `event`; its data is the body).

    `secret` is written and never read. One text takes the place of the last secret, which is accepted for
    `secret_overlap_ms` longer, until the next change; of a list exactly those are accepted. Left out, nothing changes.
    `secret_refs` is set by the server. `tolerance_ms`: how far a delivery's time may be from now, either way
    (providers that sign one). `provider`: whose way of signing it is; `standard` is Standard Webhooks.
    """

    secret: str | list[str] | UnsetType = UNSET
    filter: str | None = None
    provider: WebhookProvider = "standard"
    tolerance_ms: Annotated[int, Meta(ge=1_000, le=86_400_000)] = WEBHOOK_TOLERANCE_MS
    secret_overlap_ms: Milliseconds = SECRET_OVERLAP_MS
    secret_refs: list[SecretRef] = []


class ManualTrigger(TriggerFields, tag="manual", kw_only=True, frozen=True):
    """Fired by people and by `execute`."""

    config: ManualConfig = ManualConfig()


class EventTrigger(TriggerFields, tag="event", kw_only=True, frozen=True):
    """Fired by events on the inbox."""

    config: EventConfig


class ScheduleTrigger(TriggerFields, tag="schedule", kw_only=True, frozen=True):
    """Fired by the clock."""

    config: ScheduleConfig


class DependencyTrigger(TriggerFields, tag="dependency", kw_only=True, frozen=True):
    """Fired by the ends of other workflows' runs."""

    config: DependencyConfig


class WebhookTrigger(TriggerFields, tag="webhook", kw_only=True, frozen=True):
    """Fired by signed HTTP requests to `/api/webhooks/<workflow>/<trigger>`."""

    config: WebhookConfig


Trigger = ManualTrigger | EventTrigger | ScheduleTrigger | DependencyTrigger | WebhookTrigger
TRIGGER_TYPES: dict[str, type[Trigger]] = {cast("str", kind.__struct_config__.tag): kind for kind in get_args(Trigger)}
