"""Which triggers an event concerns, without looking at all of them (pure).

Three steps: event type, source (both exact or with `*`), then equalities in the filters. A bucket, the triggers on one
type and one source, keeps each trigger under the rarest of its equalities; an event is looked up by its values at the
few paths that occur. In a bucket of at most `RULE_OUT_ABOVE_COUNT` triggers nothing is ruled out that way, so that all
their decisions are recorded.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, cast

from flowforge.definition import DependencyTrigger, EventTrigger, Trigger
from flowforge.events import WorkflowEvent

from infra.expressions import (
    EvaluationFault,
    ExpressionFault,
    Scope,
    Template,
    compile_template,
    demanded,
    index_key,
)
from services.triggers.cause import ReceivedCause
from services.triggers.inputs import Finding, InputSchema, default_findings
from services.triggers.patterns import Patterns
from services.triggers.settings import RULE_OUT_ABOVE_COUNT, SHARED_COUNT_MAX
from services.triggers.state import Version, Workflow, evolve, remembers
from services.triggers.verdict import NotFired

RuleKey = tuple[str, str]
"""Workflow id, trigger id."""
Path = tuple[str, ...]
Terms = tuple[tuple[Path, tuple[str, object] | None], ...]
_ABSENT = object()


class Checked:
    """A version with what it takes to check an input, compiled when first needed."""

    __slots__ = ("_default_findings", "_schema", "version")

    def __init__(self, version: Version) -> None:
        self.version = version
        self._schema: InputSchema | None = None
        self._default_findings: list[Finding] | None = None

    @property
    def has_schema(self) -> bool:
        return self.version.definition.input_schema is not None

    def input_findings(self, value: object, at: str) -> list[Finding]:
        schema = self.version.definition.input_schema
        if schema is None:
            return []
        if self._schema is None:
            self._schema = InputSchema(schema)
        return self._schema.findings(value, at)

    def default_findings(self) -> list[Finding]:
        if self._default_findings is None:
            self._default_findings = default_findings(self.version.definition.variables)
        return self._default_findings


class Rule:
    """One trigger of the newest version of a workflow."""

    __slots__ = ("_template", "checked", "key", "terms", "trigger", "trigger_version", "workflow")

    def __init__(self, workflow: Workflow, checked: Checked, trigger: Trigger) -> None:
        self.key: RuleKey = (workflow.workflow_id, trigger.id)
        self.workflow = workflow
        self.checked = checked
        self.trigger = trigger
        self.trigger_version = workflow.trigger_versions[trigger.id]
        self._template: Template | None = None
        self.terms: Terms = ()
        """What the event must equal for the filter to be true, once the rule is filed."""

    @property
    def standing(self) -> NotFired | None:
        """Why the trigger starts nothing whatever comes, if it does not."""
        if self.workflow.status != "active":
            return NotFired("suppressed", "workflow_inactive", f"the workflow is {self.workflow.status}")
        return None if self.trigger.enabled else NotFired("suppressed", "disabled")

    @property
    def remembers(self) -> bool:
        """Whether its answer to one cause depends on others, or on time."""
        return bool(self.workflow.shape_versions) and remembers(self.trigger)

    @property
    def shape_version(self) -> int:
        """The workflow version since which it works as it does; 0 for one that remembers nothing."""
        return self.workflow.shape_versions.get(self.trigger.id, 0)

    @property
    def template(self) -> Template:
        """The trigger's `input`. Raises ExpressionFault."""
        if self._template is None:
            self._template = compile_template(self.trigger.input, Scope.TRIGGER_INPUT, lazily=True)
        return self._template

    def read_terms(self) -> Terms:
        """Read them from the filter, without keeping anything else of it."""
        if not isinstance(self.trigger, EventTrigger) or self.trigger.config.filter is None:
            return ()
        try:
            wanted = demanded(self.trigger.config.filter, Scope.FILTER)
        except ExpressionFault:
            return ()
        return tuple((_path(path), index_key(value)) for path, value in wanted.items() if path[0] == "event")


class Bucket:
    """The triggers on one event type and source, as written."""

    __slots__ = ("_by_value", "_is_filed", "_unindexed", "rules")

    def __init__(self) -> None:
        self.rules: dict[RuleKey, Rule] = {}
        self._is_filed = False
        self._by_value: dict[Path, dict[tuple[str, object] | None, Rule | dict[RuleKey, Rule]]] = {}
        self._unindexed: dict[RuleKey, Rule] = {}

    def add(self, rule: Rule) -> None:
        self.rules[rule.key] = rule
        if self._is_filed:
            self._file(rule)
        elif len(self.rules) > RULE_OUT_ABOVE_COUNT:
            self._is_filed = True
            for filed in self.rules.values():
                self._file(filed)

    def remove(self, key: RuleKey) -> None:
        rule = self.rules.pop(key)
        if not self._is_filed:
            return
        for path, value in rule.terms:
            values = self._by_value.get(path)
            if values is not None and _dropped(values, value, rule):
                if not values:
                    del self._by_value[path]
                return
        self._unindexed.pop(key, None)

    def candidates(self, cause: ReceivedCause) -> Iterator[Rule]:
        """The triggers whose equalities the event meets; all, where they are few."""
        if not self._is_filed or len(self.rules) <= RULE_OUT_ABOVE_COUNT:
            yield from self.rules.values()
            return
        try:
            bindings = cause.bindings
        except EvaluationFault:  # data that no expression can hold meets no equality
            yield from self._unindexed.values()
            return
        seen: dict[Path, tuple[str, object] | None] = {}
        for path, values in self._by_value.items():
            value = seen[path] = _value_key(bindings, path)
            for rule in _rules_in(values.get(value)) if value is not None else ():
                if self._meets(rule, bindings, seen):
                    yield rule
        yield from self._unindexed.values()

    def _meets(self, rule: Rule, bindings: Mapping[str, object], seen: dict[Path, tuple[str, object] | None]) -> bool:
        for path, wanted in rule.terms:
            value = seen[path] if path in seen else seen.setdefault(path, _value_key(bindings, path))
            if value != wanted:
                return False
        return True

    def _file(self, rule: Rule) -> None:
        terms = rule.terms = rule.read_terms()
        if not terms:
            self._unindexed[rule.key] = rule
            return
        path, value = terms[0] if len(terms) == 1 else min(terms, key=self._count)
        values = self._by_value.setdefault(path, {})
        there = values.get(value)
        if there is None:
            values[value] = rule
        elif isinstance(there, Rule):
            values[value] = {there.key: there, rule.key: rule}
        else:
            there[rule.key] = rule

    def _count(self, term: tuple[Path, tuple[str, object] | None]) -> int:
        there = self._by_value.get(term[0], {}).get(term[1])
        return 0 if there is None else 1 if isinstance(there, Rule) else len(there)


def _rules_in(there: Rule | dict[RuleKey, Rule] | None) -> Iterable[Rule]:
    """Most values have one rule only, and that needs no dictionary of its own."""
    return () if there is None else (there,) if isinstance(there, Rule) else there.values()


def _dropped(
    values: dict[tuple[str, object] | None, Rule | dict[RuleKey, Rule]], value: tuple[str, object] | None, rule: Rule
) -> bool:
    """Whether the rule was filed under that value; it no longer is."""
    there = values.get(value)
    if there is rule:
        del values[value]
        return True
    if not isinstance(there, dict) or there.pop(rule.key, None) is None:
        return False
    if not there:
        del values[value]
    return True


@lru_cache(maxsize=SHARED_COUNT_MAX)
def _path(path: Path) -> Path:
    """The same path, kept once."""
    return path


class Index:
    """All workflows, and their event triggers where an event finds them. `position`: definitions up to there are in."""

    def __init__(self) -> None:
        self.position = 0
        self.workflows: dict[str, Workflow] = {}
        self._checked: dict[str, Checked] = {}
        self._rules: Patterns[Patterns[Bucket]] = Patterns(lambda: Patterns(Bucket))
        self._dependents: dict[str, dict[RuleKey, Rule]] = {}

    def apply(self, workflow_id: str, event: WorkflowEvent, stream_version: int) -> None:
        """Take in one more event of a workflow."""
        before = self.workflows.get(workflow_id)
        after = evolve(before, event, stream_version)
        if before is not None:
            self._take_out(before)
        if after is not None:
            self.workflows[workflow_id] = after
            if before is None or before.newest is not after.newest:
                self._checked[workflow_id] = Checked(after.newest)
            self._put_in(after)

    def checked(self, workflow_id: str) -> Checked:
        """The newest version of a workflow that exists."""
        return self._checked[workflow_id]

    def candidates(self, cause: ReceivedCause) -> list[Rule]:
        """The triggers to evaluate for an event, in the order of their ids."""
        found = [
            rule
            for by_source in self._rules.matching(cause.fact.type)
            for bucket in by_source.matching(cause.fact.source)
            for rule in bucket.candidates(cause)
        ]
        if len(found) > 1:
            found.sort(key=_by_key)
        return found

    def dependents(self, workflow_id: str) -> list[Rule]:
        """The dependency triggers that have that workflow upstream, in the order of their ids."""
        return sorted(self._dependents.get(workflow_id, {}).values(), key=_by_key)

    def rule(self, key: RuleKey) -> Rule | None:
        """The trigger of that name, whatever its type."""
        workflow_id, trigger_id = key
        workflow = self.workflows.get(workflow_id)
        trigger = None if workflow is None else workflow.newest.trigger(trigger_id)
        return None if workflow is None or trigger is None else Rule(workflow, self._checked[workflow_id], trigger)

    def _put_in(self, workflow: Workflow) -> None:
        checked = self._checked[workflow.workflow_id]
        for trigger in workflow.dependency_triggers:
            rule = Rule(workflow, checked, trigger)
            for name in upstream_names(trigger):
                self._dependents.setdefault(name, {})[rule.key] = rule
        for trigger in workflow.event_triggers:
            by_source = self._rules.at(trigger.config.event_type)
            by_source.at(trigger.config.source).add(Rule(workflow, checked, trigger))

    def _take_out(self, workflow: Workflow) -> None:
        for trigger in workflow.dependency_triggers:
            for name in upstream_names(trigger):
                there = self._dependents[name]
                there.pop((workflow.workflow_id, trigger.id))
                if not there:
                    del self._dependents[name]
        for trigger in workflow.event_triggers:
            by_source = self._rules.at(trigger.config.event_type)
            bucket = by_source.at(trigger.config.source)
            bucket.remove((workflow.workflow_id, trigger.id))
            if not bucket.rules:
                by_source.discard(trigger.config.source)
            if not len(by_source):
                self._rules.discard(trigger.config.event_type)


def upstream_names(trigger: DependencyTrigger) -> set[str]:
    return {upstream.workflow_id for upstream in trigger.config.upstreams}


def _by_key(rule: Rule) -> RuleKey:
    return rule.key


def _value_key(bindings: Mapping[str, object], path: Path) -> tuple[str, object] | None:
    value: Any = bindings
    for step in path:
        if not isinstance(value, dict):
            return None
        value = cast("dict[str, Any]", value).get(step, _ABSENT)
    return index_key(value)
