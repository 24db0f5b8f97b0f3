"""A workflow as its author writes it: nodes, edges, variables, triggers, settings (interface.md, section 1).

The same types are checked by the server, written by people in JSON or YAML, and built in Python:

    Workflow(id="hello", name="Hello", nodes=[JobNode(id="greet", job_type="greet")])

Unknown fields are refused. A node's own settings stand beside its common fields or in a `config` object, as the author
likes; `parse` takes both.
"""

import difflib
import itertools
import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Annotated, Any, Literal, cast, get_args

import msgspec
import yaml
from msgspec import UNSET, Meta, UnsetType

from flowforge.errors import DefinitionInvalid
from flowforge.job_types import TRIGGER_TYPES as JOB_TRIGGER_TYPES
from flowforge.job_types import TriggerConfig, normalised, shown

SLUG_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"
NODES_MAX = 10_000
DEFINITION_BYTES_MAX = 4 * 1024 * 1024

Slug = Annotated[str, Meta(pattern=SLUG_PATTERN)]
Text = Annotated[str, Meta(max_length=10_000)]
Milliseconds = Annotated[int, Meta(ge=0, le=10 * 366 * 86_400_000)]
PositiveMilliseconds = Annotated[int, Meta(ge=1, le=10 * 366 * 86_400_000)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
QueueName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")]
JobType = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
Template = Any
"""Any JSON value; strings in it may hold `${expression}`."""

Dependency = Literal["on_success", "on_failure", "on_completion"]
RunIf = Literal["all_success", "all_done", "none_failed", "at_least_one_success", "at_least_one_failed", "all_failed"]
ValueType = Literal["string", "number", "boolean", "object", "array"]
WorkflowStatus = Literal["draft", "active", "archived"]


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Anything inside a definition."""


class Variable(Part, kw_only=True, frozen=True):
    """A default that a run may override."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
    type: ValueType = "string"
    default_value: Any = None
    description: Text = ""


class Port(Part, kw_only=True, frozen=True):
    """A named input or output of a node, checked when it runs."""

    name: Name
    type: ValueType | Literal["any"] = "any"
    required: bool = True
    description: Text = ""


class Position(Part, kw_only=True, frozen=True):
    """Where the console draws the node; no meaning for running."""

    x: float
    y: float


class RetryPolicy(Part, kw_only=True, frozen=True):
    """`max_attempts` counts the first; the wait before attempt n+1 is delay * multiplier^(n-1), capped, with jitter."""

    max_attempts: Annotated[int, Meta(ge=1, le=100)] = 3
    delay_ms: Milliseconds = 1_000
    backoff_multiplier: Annotated[float, Meta(ge=1.0, le=100.0)] = 2.0
    max_delay_ms: Milliseconds = 300_000
    jitter: bool = False
    retry_on_errors: list[str] = []


OnConflict = Literal["queue", "skip", "cancel_running"]


class Concurrency(Part, kw_only=True, frozen=True):
    """How many runs of the workflow may go on at once, for each value of `key` (a template over `input` and `variables`).

    `on_conflict`: what becomes of one too many. Workflows that name the same `pool` share its slots.
    """

    limit: Annotated[int, Meta(ge=1, le=100_000)] = 1
    key: str | None = None
    on_conflict: OnConflict = "queue"
    pool: Slug | None = None


class Settings(Part, kw_only=True, frozen=True):
    """How a run behaves as a whole. `queue_timeout_ms`: how long it may wait for a slot of `concurrency`."""

    max_parallel_jobs: Annotated[int, Meta(ge=1, le=100_000)] = 5
    fail_fast: bool = True
    timeout_ms: PositiveMilliseconds | None = None
    queue_timeout_ms: PositiveMilliseconds | None = None
    concurrency: Concurrency | None = None


class NodeFields(Part, kw_only=True, frozen=True):
    """What every node has."""

    id: Slug
    name: Text = ""
    description: Text = ""
    position: Position | None = None
    order_index: int | None = None
    inputs: list[Port] = []
    outputs: list[Port] = []
    input_mapping: dict[str, Template] | None = None
    output_mapping: dict[str, Template] = {}
    run_if: RunIf = "all_success"
    retry_policy: RetryPolicy | None = None
    timeout_ms: PositiveMilliseconds | None = None
    allow_failure: bool = False
    for_each: str | list[Any] | None = None
    max_parallel: Annotated[int, Meta(ge=1, le=100_000)] | None = None


class StartNode(NodeFields, tag="start", kw_only=True, frozen=True):
    """An optional marker of the beginning; passes its input on."""


class EndNode(NodeFields, tag="end", kw_only=True, frozen=True):
    """An optional marker of the end; its output is `output`, else its input."""

    output: Template | UnsetType = UNSET


class JobNode(NodeFields, tag="job", kw_only=True, frozen=True):
    """Work for a worker that serves `job_type` on `queue`; handed over as `job.payload` and `job.input`."""

    job_type: JobType
    queue: QueueName = "default"
    payload: Template = {}


class ScriptNode(NodeFields, tag="script", kw_only=True, frozen=True):
    """A script run by the built-in worker in a process of its own."""

    language: Literal["bash", "python", "node"]
    source: Annotated[str, Meta(min_length=1, max_length=500_000)]
    env: dict[Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], Template] = {}
    queue: QueueName = "default"
    isolation: Literal["process", "container"] = "process"
    image: str | None = None


class DataTransformNode(NodeFields, tag="data_transform", kw_only=True, frozen=True):
    """Computes its output from expressions, name by name."""

    expressions: dict[str, Template]


Node = StartNode | EndNode | JobNode | ScriptNode | DataTransformNode
NODE_TYPES: dict[str, type[Node]] = {cast("str", kind.__struct_config__.tag): kind for kind in get_args(Node)}


class Edge(Part, kw_only=True, frozen=True):
    """Leads from one node to another; see interface.md 1.3 for when it counts."""

    source_node_id: Slug
    target_node_id: Slug
    id: str | None = None
    source_output: str | None = None
    target_input: str | None = None
    dependency: Dependency | None = None
    condition: str | None = None


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

    id: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$")]
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


class Workflow(Part, kw_only=True, frozen=True):
    """One version of a definition."""

    id: Slug
    name: Name
    nodes: Annotated[list[Node], Meta(max_length=NODES_MAX)]
    description: Text = ""
    experiment_id: Annotated[str, Meta(max_length=200)] | None = None
    tags: list[Annotated[str, Meta(min_length=1, max_length=100)]] = []
    status: WorkflowStatus = "active"
    variables: list[Variable] = []
    input_schema: dict[str, Any] | None = None
    output_mapping: dict[str, Template] | None = None
    settings: Settings = Settings()
    edges: list[Edge] = []
    triggers: list[Trigger] = []
    trigger_configs: list[TriggerConfig] = []

    def effective_edges(self) -> list[Edge]:
        """The edges as written, or the chain that `order_index` implies where none are written."""
        if self.edges or any(node.order_index is None for node in self.nodes):
            return self.edges
        chain = sorted(self.nodes, key=lambda node: cast("int", node.order_index))
        return [Edge(source_node_id=a.id, target_node_id=b.id) for a, b in itertools.pairwise(chain)]


class Fault(msgspec.Struct, frozen=True):
    """One reason why a document is no workflow: where (a JSON path), what, and how to mend it."""

    path: str
    message: str
    suggested_resolution: str = ""


_LISTS: dict[str, Any] = {"nodes": Node, "edges": Edge, "triggers": Trigger, "trigger_configs": TriggerConfig}
_AT_PATH = re.compile(r"^(?P<message>.*?)(?: - at `(?P<path>.*)`)?$", re.DOTALL)
_UNKNOWN_FIELD = re.compile(r"unknown field `(?P<field>[^`]*)`")
_UNKNOWN_VALUE = re.compile(r"Invalid enum value '(?P<value>[^']*)'")
_UNKNOWN_TYPE = re.compile(r"Invalid value '(?P<value>[^']*)'")


def parse(document: object) -> tuple[Workflow | None, list[Fault]]:
    """The workflow, or every reason why the document is none; each node, edge and trigger is looked at."""
    if not isinstance(document, dict):
        return None, [Fault("$", f"a workflow is an object, not {_kind(document)}", "start with id, name and nodes")]
    fields = cast("dict[str, Any]", document)
    faults: list[Fault] = []
    lists: dict[str, list[Any]] = {}
    for name, item_type in _LISTS.items():
        lists[name] = list(_items(name, fields.get(name, []), item_type, faults))
    head = {name: value for name, value in fields.items() if name not in _LISTS}
    if "nodes" not in fields:
        faults.append(Fault("$", "Object missing required field `nodes`", "add `nodes`, a list with at least one node"))
    workflow = _convert({**head, "nodes": []}, Workflow, "$", faults)
    if workflow is None or faults:
        return None, faults
    return msgspec.structs.replace(workflow, **lists), faults


def parse_stored(document: object) -> tuple[Workflow | None, list[Fault]]:
    """As `parse`, of a definition that was stored: what an older version left in `trigger_configs` is no fault."""
    return parse(readable(cast("dict[str, Any]", document)) if isinstance(document, dict) else document)


def readable(stored: Mapping[str, Any]) -> dict[str, Any]:
    """A stored definition as it is read: with all six `trigger_configs`."""
    return {**stored, "trigger_configs": shown(normalised(stored.get("trigger_configs")))}


def from_text(text: str | bytes) -> object:
    """The plain document in a JSON or YAML text. Raises `DefinitionInvalid` naming line and column."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # YAML, or JSON with a mistake: the YAML reader says where
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader with fewer implicit types
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "$"
        raise DefinitionInvalid(f"the text is neither JSON nor YAML: {fault.problem or fault}", where) from fault
    except (yaml.YAMLError, RecursionError, ValueError) as fault:
        raise DefinitionInvalid(f"the text is neither JSON nor YAML: {fault}") from fault


def load(text: str | bytes) -> Workflow:
    """The workflow written in a JSON or YAML text. Raises `DefinitionInvalid` with the first fault."""
    workflow, faults = parse(from_text(text))
    if workflow is None:
        raise DefinitionInvalid(faults[0].message, faults[0].path)
    return workflow


def document(workflow: Workflow) -> dict[str, Any]:
    """The workflow as plain JSON data, defaults left out."""
    return cast("dict[str, Any]", msgspec.to_builtins(workflow))


def with_defaults(authored: Mapping[str, Any], workflow: Workflow) -> dict[str, Any]:
    """What is stored and shown: every top-level field, nodes and edges as their author wrote them."""
    full: dict[str, Any] = {
        name: msgspec.to_builtins(getattr(workflow, name)) for name in Workflow.__struct_fields__ if name not in _LISTS
    }
    full["settings"] = {name: getattr(workflow.settings, name) for name in Settings.__struct_fields__}
    full["nodes"] = authored.get("nodes", [])
    full["edges"] = authored.get("edges", [])
    full["triggers"] = [{"name": "", "enabled": True, "config": {}, **item} for item in authored.get("triggers", [])]
    full["trigger_configs"] = shown(normalised(workflow.trigger_configs))
    return full


def locate(text: str, path: str) -> tuple[int, int] | None:
    """Line and column (from 1) of a JSON path in the text it came from, or of its nearest ancestor."""
    node = yaml.compose(text, Loader=_Loader)
    if node is None:
        return None
    for step in re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", path):
        name, index = step
        if isinstance(node, yaml.MappingNode):
            found = [value for key, value in node.value if key.value == name]
        elif isinstance(node, yaml.SequenceNode) and index:
            found = node.value[int(index) : int(index) + 1]
        else:
            found = []
        if not found:
            break
        node = found[0]
    return node.start_mark.line + 1, node.start_mark.column + 1


def _items(name: str, value: object, item_type: Any, faults: list[Fault]) -> Iterable[Any]:
    if not isinstance(value, list):
        faults.append(Fault(f"$.{name}", f"Expected `array`, got `{_kind(value)}`", f"make `{name}` a list"))
        return
    for index, item in enumerate(cast("list[object]", value)):
        converted = _convert(_flat(item) if name == "nodes" else item, item_type, f"$.{name}[{index}]", faults)
        if converted is not None:
            yield converted


def _flat(node: object) -> object:
    """A node whose own settings stand in `config`, with those beside its common fields."""
    if not isinstance(node, dict) or not isinstance(cast("dict[str, Any]", node).get("config"), dict):
        return cast("object", node)
    fields = dict(cast("dict[str, Any]", node))
    return {**cast("dict[str, Any]", fields.pop("config")), **fields}


def _convert(value: object, kind: Any, path: str, faults: list[Fault]) -> Any:
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, ValueError, RecursionError) as fault:
        faults.append(_fault(str(fault), value, kind, path))
        return None


def _fault(text: str, value: object, kind: Any, path: str) -> Fault:
    match = _AT_PATH.match(text)
    message = match["message"] if match else text
    below = (match["path"] or "$")[1:] if match else ""
    kinds: Mapping[str, Any] = NODE_TYPES if kind is Node else TRIGGER_TYPES if kind is Trigger else {}
    if unknown := _UNKNOWN_FIELD.search(message):
        return Fault(path + below, message, _did_you_mean(unknown["field"], _field_names(kind, value, below)))
    if below == ".type" and kinds and (wrong := _UNKNOWN_TYPE.search(message)):
        return Fault(path + below, f"unknown type '{wrong['value']}'", _did_you_mean(wrong["value"], kinds))
    if below == ".trigger_type" and (named := _UNKNOWN_VALUE.search(message)):
        hint = _did_you_mean(named["value"], JOB_TRIGGER_TYPES)
        return Fault(path + below, f"unknown type '{named['value']}' of a job-type trigger", hint)
    if "matching regex" in message:
        return Fault(path + below, message, "use lower-case letters, digits, `-` and `_`, at most 63 characters")
    return Fault(path + below, message, _missing_hint(message))


def _missing_hint(message: str) -> str:
    if "missing required field" in message:
        return "add the field"
    return "give a value of the expected type" if message.startswith("Expected") else ""


def _field_names(kind: Any, value: object, below: str) -> Iterable[str]:
    if below or not isinstance(value, dict):
        return [name for struct in (*Part.__subclasses__(),) for name in struct.__struct_fields__]
    tag = str(cast("dict[str, Any]", value).get("type", ""))
    struct = NODE_TYPES.get(tag) if kind is Node else TRIGGER_TYPES.get(tag) if kind is Trigger else kind
    return getattr(struct, "__struct_fields__", ())


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    names = sorted(set(known))
    close = difflib.get_close_matches(word, names, n=1)
    return f"did you mean `{close[0]}`?" if close else f"known here: {', '.join(names)}"


_KINDS: dict[type, str] = {dict: "object", list: "array", type(None): "null"}


def _kind(value: object) -> str:
    names: dict[type, str] = {
        dict: "object",
        list: "array",
        str: "str",
        int: "int",
        float: "float",
        bool: "bool",
        type(None): "null",
    }
    return names.get(type(value), type(value).__name__)


class _Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]
    """YAML 1.2's core schema: no dates, no yes/no booleans, no sexagesimal numbers; a key twice is a mistake."""

    yaml_implicit_resolvers: Mapping[str, Any] = {}

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:  # noqa: ARG002 - its signature is PyYAML's
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a plain word", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key '{key.value}' stands twice", key.start_mark)
            seen.add(key.value)
        return {str(key.value): self.construct_object(value, deep=True) for key, value in node.value}


def _construct_map(loader: Any, node: Any) -> dict[Any, Any]:
    return loader.construct_mapping(node, deep=True)


for _tag, _pattern, _first in (
    ("tag:yaml.org,2002:null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("tag:yaml.org,2002:int", r"^[-+]?(?:0|[1-9][0-9]*)$", list("-+0123456789")),
    (
        "tag:yaml.org,2002:float",
        r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)(?:[eE][-+]?[0-9]+)?$",
        list("-+.0123456789"),
    ),
):
    _Loader.add_implicit_resolver(_tag, re.compile(_pattern), _first)
_Loader.add_constructor("tag:yaml.org,2002:map", _construct_map)
_Loader.add_constructor("tag:yaml.org,2002:float", lambda _loader, node: float(node.value))
