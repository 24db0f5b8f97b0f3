"""Where expressions and templates stand in a definition, and which names have no value there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flowforge.definition import (
    ApprovalNode,
    ChildNode,
    ConditionNode,
    DataTransformNode,
    DelayNode,
    DependencyTrigger,
    EndNode,
    EventTrigger,
    JobNode,
    LoopNode,
    Node,
    ParallelNode,
    PromptNode,
    ScriptNode,
    SqlNode,
    WaitEventNode,
    WebhookNode,
    WebhookTrigger,
)
from msgspec import UNSET

from infra.expressions import Scope
from services.catalog.validation.draft import Draft, Placed
from services.catalog.validation.structure import Shape, Shapes

ANY_NODE = -1
Absent = Mapping[str, tuple[str, str]]
"""Names of the scope that have no value at a place: why, and what to do."""


@dataclass(frozen=True, slots=True)
class Text:
    """One expression or template. `node` is the number in `shape` of the node that it belongs to, or stands for."""

    path: str
    value: Any
    scope: Scope
    shape: Shape | None = None
    node: int = ANY_NODE
    absent: Absent = field(default_factory=dict[str, tuple[str, str]])
    sees_itself: bool = False
    """Whether that node itself has ended when it is evaluated."""
    is_condition: bool = False
    is_expression: bool = False
    """Whether the text is one expression of any type, without `${…}`."""
    is_computed: bool = False
    """Whether a constant text is probably a forgotten `${…}`."""

    @property
    def owner(self) -> list[str]:
        return [] if self.shape is None else [self.shape.id(self.node)]


_OUTSIDE: Absent = {
    "item": ("it exists only inside for_each", "give the node a for_each, or use input or variables"),
    "index": ("it exists only inside for_each", "give the node a for_each, or use input or variables"),
    "previous": ("it exists only inside loops", "leave it out"),
}
NO_CALLBACK = (
    "it exists only in the url, headers and body of a webhook with wait_for_callback",
    "write wait_for_callback: true on the webhook",
)


def texts_of(draft: Draft, shapes: Shapes) -> Iterator[Text]:
    """Every expression and every template of the document."""
    for shape in shapes.all:
        absent = _absent_in(shape)
        for number in range(len(shape.nodes)):
            yield from _Texts(shape, number, absent).all()
        for source, _, edge in shape.edges:
            if edge.item.condition is not None:
                yield Text(
                    f"{edge.at}.condition", edge.item.condition, Scope.EDGE, shape, source, absent,
                    sees_itself=True, is_condition=True,
                )  # fmt: skip
    yield from _of_triggers(draft)
    concurrency = draft.head.settings.concurrency
    if concurrency is not None and concurrency.key is not None:
        yield Text("$.settings.concurrency.key", concurrency.key, Scope.RUN_START, is_computed=True)
    if draft.head.output_mapping is not None:
        yield Text("$.output_mapping", draft.head.output_mapping, Scope.RUN_OUTPUT, is_computed=True)


def _of_triggers(draft: Draft) -> Iterator[Text]:
    for placed in draft.triggers:
        trigger = placed.item
        if isinstance(trigger, EventTrigger | WebhookTrigger) and trigger.config.filter is not None:
            yield Text(f"{placed.at}.config.filter", trigger.config.filter, Scope.FILTER, is_condition=True)
        if isinstance(trigger, DependencyTrigger) and trigger.config.correlate_by is not None:
            path = f"{placed.at}.config.correlate_by"
            yield Text(path, trigger.config.correlate_by, Scope.CORRELATE, is_expression=True)
        if trigger.input is not UNSET:
            yield Text(f"{placed.at}.input", trigger.input, Scope.TRIGGER_INPUT)


def _absent_in(shape: Shape) -> Absent:
    """What has no value in a graph: the body of a loop has its own `item`, `index` and `previous`, if any."""
    absent: dict[str, tuple[str, str]] = {"callback": NO_CALLBACK}
    placed = shape.region.loop
    if placed is None or not isinstance(placed.item, LoopNode):
        return {**_OUTSIDE, **absent}
    loop = placed.item
    if loop.loop_type != "for_each":
        absent["item"] = (
            f"only loops of type for_each have items, and '{loop.id}' is of type {loop.loop_type}",
            "use index, or input or variables",
        )
    if (loop.max_parallel or 1) > 1 and loop.loop_type != "while":
        why = f"the iterations of '{loop.id}' run side by side (max_parallel: {loop.max_parallel})"
        absent["previous"] = (f"{why}, so none of them is the previous one", "leave out max_parallel, or previous")
    return absent


class _Texts:
    """The texts of one node."""

    def __init__(self, shape: Shape, number: int, absent: Absent) -> None:
        self._shape = shape
        self._number = number
        self._placed: Placed[Node] = shape.nodes[number]
        self._around = absent
        self._absent = absent
        if self._placed.item.for_each is not None:
            self._absent = {name: why for name, why in absent.items() if name not in ("item", "index")}

    def all(self) -> Iterator[Text]:
        node = self._placed.item
        if node.for_each is not None:
            yield replace(self._text("for_each", node.for_each), absent=self._around)
        if node.input_mapping:
            yield self._text("input_mapping", node.input_mapping, is_computed=True)
        if node.output_mapping:
            yield self._text(
                "output_mapping", node.output_mapping, Scope.NODE_OUTPUT, is_computed=True, sees_itself=True
            )
        if node.cache_key is not None:
            yield self._text("cache_key", node.cache_key, is_computed=True)
        yield from self._of_kind(node)

    def _text(self, field: str, value: Any, scope: Scope = Scope.NODE, **flags: bool) -> Text:
        return Text(self._placed.path(field), value, scope, self._shape, self._number, self._absent, **flags)

    def _given(self, scope: Scope, *names: str) -> Iterator[Text]:
        """Fields that are templates, where they are given."""
        for name in names:
            value = getattr(self._placed.item, name)
            if value is not UNSET and value is not None:
                yield self._text(name, value, scope)

    def _of_kind(self, node: Node) -> Iterator[Text]:  # noqa: C901, PLR0912 - one case for each type, each a line
        match node:
            case JobNode():
                yield from self._given(Scope.NODE, "payload")
            case ScriptNode():
                yield from self._given(Scope.NODE_WITH_SECRETS, "env")
            case WebhookNode():
                yield from self._of_webhook(node)
            case SqlNode():
                yield from self._given(Scope.NODE_WITH_SECRETS, "parameters")
            case PromptNode():
                yield from self._given(Scope.NODE_WITH_SECRETS, "prompt", "system", "options")
            case DataTransformNode():
                yield self._text("expressions", node.expressions, is_computed=True)
            case EndNode():
                yield from self._given(Scope.NODE, "output")
            case ChildNode():
                yield from self._given(Scope.NODE, "input")
            case ApprovalNode():
                yield from self._given(Scope.NODE, "message", "approvers")
            case DelayNode():
                yield from self._given(Scope.NODE, "duration_ms", "until")
            case WaitEventNode():
                yield from self._given(Scope.NODE, "event_type", "source")
                if node.filter is not None:
                    yield self._text("filter", node.filter, is_condition=True)
            case ConditionNode():
                yield self._text("condition", node.condition, is_condition=True)
            case ParallelNode():
                yield from self._of_parallel(node)
            case LoopNode():
                yield from self._of_loop(node)
            case _:
                pass

    def _of_webhook(self, node: WebhookNode) -> Iterator[Text]:
        for text in self._given(Scope.NODE_WITH_SECRETS, "url", "headers", "body"):
            if node.wait_for_callback:
                absent = {name: why for name, why in text.absent.items() if name != "callback"}
                yield replace(text, absent=absent)
            else:
                yield text

    def _of_parallel(self, node: ParallelNode) -> Iterator[Text]:
        """What a branch is given is computed when its first node starts."""
        for at, branch in enumerate(node.branches):
            target = self._shape.number.get(branch.target_node_id)
            if branch.input_data is not UNSET and target is not None:
                path = f"{self._placed.path('branches')}[{at}].input_data"
                yield Text(path, branch.input_data, Scope.NODE, self._shape, target, self._around)

    def _of_loop(self, node: LoopNode) -> Iterator[Text]:
        yield from self._given(Scope.NODE, "array_source", "count")
        if node.condition is None:
            return
        text = self._text("condition", node.condition, is_condition=True)
        if node.loop_type == "while":
            absent = {name: why for name, why in text.absent.items() if name not in ("index", "previous")}
            text = replace(text, absent=absent)
        yield text
