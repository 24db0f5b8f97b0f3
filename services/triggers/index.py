"""Which triggers an event concerns, without looking at all of them (pure).

Three steps: event type, source (both exact or with `*`), then equalities in the filters (buckets). Of each trigger only
its ids are kept here, and of each workflow its text; a trigger is read when an event finds it, and those found lately
are kept ready.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from flowforge.definition import DependencyTrigger, EventTrigger, WebhookTrigger
from flowforge.events import WorkflowEvent

from infra.expressions import (
    Condition,
    EvaluationFault,
    ExpressionFault,
    Scope,
    Template,
    compile_template,
    index_key,
)
from services.triggers.buckets import Bucket, Leaf, Path, RuleKey, Terms, added, removed
from services.triggers.cause import ReceivedCause
from services.triggers.inputs import Finding, InputSchema, default_findings
from services.triggers.patterns import Pattern, Patterns
from services.triggers.settings import (
    DEFINITIONS_CACHED_COUNT_MAX,
    RULE_OUT_ABOVE_COUNT,
    RULES_CACHED_COUNT_MAX,
    SHARED_COUNT_MAX,
    TEMPLATES_CACHED_COUNT_MAX,
)
from services.triggers.state import AnyTrigger, JobTrigger, Version, Workflow, evolve, remembers
from services.triggers.verdict import NotFired

_ABSENT = object()
_Jobs = tuple[str | None, str]
"""An experiment (None: any), and a type of jobs."""
_Place = TypeVar("_Place")


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
    """One trigger of the newest version of a workflow, ready to be evaluated."""

    __slots__ = ("_condition", "_template", "_terms", "checked", "key", "trigger", "trigger_version", "workflow")

    def __init__(self, workflow: Workflow, checked: Checked, trigger: AnyTrigger) -> None:
        self.key: RuleKey = (workflow.workflow_id, trigger.id)
        self.workflow = workflow
        self.checked = checked
        self.trigger = trigger
        self.trigger_version = workflow.trigger_versions[trigger.id]
        self._template: Template | None = None
        self._condition: Condition | None = None
        self._terms: Terms | None = None

    @property
    def standing(self) -> NotFired | None:
        """Why the trigger starts nothing whatever comes, if it does not."""
        if self.workflow.status != "active":
            return NotFired("suppressed", "workflow_inactive", f"the workflow is {self.workflow.status}")
        return None if self.trigger.enabled else NotFired("suppressed", "disabled")

    @property
    def remembers(self) -> bool:
        """Whether its answer to one cause depends on others, or on time."""
        if isinstance(self.trigger, JobTrigger):
            return False
        return bool(self.workflow.shape_versions) and remembers(self.trigger)

    @property
    def shape_version(self) -> int:
        """The workflow version since which it works as it does; 0 for one that remembers nothing."""
        return self.workflow.shape_versions.get(self.trigger.id, 0)

    @property
    def template(self) -> Template:
        """The trigger's `input`. Raises ExpressionFault."""
        if self._template is None:
            self._template = _template(self.trigger.input)
        return self._template

    @property
    def condition(self) -> Condition | None:
        """The trigger's `filter`."""
        if self._condition is None:
            self._condition = _condition(self.trigger)
        return self._condition

    @property
    def terms(self) -> Terms:
        """What the event must equal for the filter to be true."""
        if self._terms is None:
            self._terms = _terms(self.condition)
        return self._terms

    def is_met(self, bindings: Mapping[str, object]) -> bool:
        """Whether the event equals what it must."""
        event = bindings["event"]
        for path, wanted in self.terms:  # noqa: SIM110 - a generator takes twice as long
            if _value_key(event, path) != wanted:
                return False
        return True


def _condition(trigger: AnyTrigger | None) -> Condition | None:
    if not isinstance(trigger, EventTrigger | WebhookTrigger) or trigger.config.filter is None:
        return None
    return Condition(trigger.config.filter, Scope.FILTER)


def _terms(condition: Condition | None) -> Terms:
    """The equalities on top of a filter."""
    if condition is None:
        return ()
    try:
        wanted = condition.demanded()
    except ExpressionFault:
        return ()
    return tuple((_path(path[1:]), index_key(value)) for path, value in wanted.items() if path[0] == "event")


@lru_cache(maxsize=SHARED_COUNT_MAX)
def _path(path: Path) -> Path:
    """The same path, kept once."""
    return path


def _template(value: Any) -> Template:
    """Raises ExpressionFault."""
    try:
        text = msgspec.json.encode(value)
    except (UnicodeEncodeError, RecursionError):
        return compile_template(value, Scope.TRIGGER_INPUT, lazily=True)
    return _template_of(text)


@lru_cache(maxsize=TEMPLATES_CACHED_COUNT_MAX)
def _template_of(text: bytes) -> Template:
    return compile_template(msgspec.json.decode(text), Scope.TRIGGER_INPUT, lazily=True)


class Index:
    """All workflows, and their event triggers where an event finds them. `position`: definitions up to there are in."""

    def __init__(self) -> None:
        self.position = 0
        self.workflows: dict[str, Workflow] = {}
        self._by_type: Patterns[tuple[RuleKey, ...] | Patterns[Leaf]] = Patterns()
        """Up to `RULE_OUT_ABOVE_COUNT` triggers on one type are not told apart by source either."""
        self._dependents: dict[str, dict[RuleKey, int]] = {}
        """Upstream workflow → the dependency triggers that name it, and the position since which they do."""
        self._watchers: dict[_Jobs, dict[RuleKey, int]] = {}
        """Jobs → the job-type triggers that are enabled for them, and the position since which they are."""
        self._checked: dict[str, Checked] = {}
        self._rules: dict[RuleKey, Rule] = {}

    def apply(self, workflow_id: str, event: WorkflowEvent, stream_version: int, position: int) -> None:
        """Take in one more event of a workflow, which the log has at `position`."""
        before = self.workflows.get(workflow_id)
        after = evolve(before, event, stream_version)
        if after is None:
            return
        is_same = before is not None and before.newest is after.newest
        since: dict[tuple[str | _Jobs, RuleKey], int] = {}
        if before is not None:
            if not is_same:
                self._checked.pop(workflow_id, None)
                since = self._take_out(before)
            for trigger_id in before.trigger_versions:
                self._rules.pop((workflow_id, trigger_id), None)
        self.workflows[after.workflow_id] = after
        if not is_same:
            self._put_in(after, position, since)

    def checked(self, workflow_id: str) -> Checked:
        """The newest version of a workflow that exists."""
        found = self._checked.get(workflow_id)
        if found is None:
            found = self._checked[workflow_id] = Checked(self.workflows[workflow_id].newest)
            if len(self._checked) > DEFINITIONS_CACHED_COUNT_MAX:
                del self._checked[next(iter(self._checked))]
        return found

    def candidates(self, cause: ReceivedCause) -> list[Rule]:
        """The triggers to evaluate for an event, in the order of their ids."""
        found: list[Rule] = []
        source = cause.fact.source
        for on_type in self._by_type.matching(cause.fact.type):
            if isinstance(on_type, tuple):
                found += [rule for rule in map(self._rule, on_type) if _fits(rule, source)]
                continue
            for leaf in on_type.matching(source):
                found += map(self._rule, leaf) if isinstance(leaf, tuple) else self._met(leaf, cause)
        if len(found) > 1:
            found.sort(key=_by_key)
        return found

    def dependents(self, workflow_id: str, ended_at: int | None = None) -> list[Rule]:
        """The dependency triggers that have that workflow upstream, in the order of their ids.

        `ended_at`: those that had when a run of it ended there in the log. The end of a run is heard again after a restart,
        and where none waited for it then, the log does not say that it was dealt with.
        """
        return self._since(self._dependents.get(workflow_id, {}).items(), ended_at)

    def watchers(self, experiment_id: str | None, job_type: str, ended_at: int | None = None) -> list[Rule]:
        """The job-type triggers that are enabled for jobs of that type there, in the order of their workflows' ids.

        `ended_at`: those that were when a run told there in the log of a job that ended.
        """
        places = {(None, job_type), (experiment_id, job_type)}
        return self._since((each for place in places for each in self._watchers.get(place, {}).items()), ended_at)

    def _since(self, waiting: Iterable[tuple[RuleKey, int]], ended_at: int | None) -> list[Rule]:
        return [
            self._rule(key) for key in sorted(key for key, since in waiting if ended_at is None or since < ended_at)
        ]

    def rule(self, key: RuleKey) -> Rule | None:
        """The trigger of that name, whatever its type."""
        workflow = self.workflows.get(key[0])
        return None if workflow is None or key[1] not in workflow.trigger_versions else self._rule(key)

    def _met(self, bucket: Bucket, cause: ReceivedCause) -> list[Rule]:
        try:
            bindings = cause.bindings
        except EvaluationFault:  # data that no expression can hold meets no equality
            return list(map(self._rule, bucket.unindexed()))
        return [rule for rule in map(self._rule, bucket.found(bindings["event"])) if rule.is_met(bindings)]

    def _rule(self, key: RuleKey) -> Rule:
        rule = self._rules.get(key)
        if rule is None:
            workflow_id, trigger_id = key
            trigger = self.workflows[workflow_id].newest.trigger(trigger_id)
            assert trigger is not None, f"{key} is not there"
            rule = self._rules[key] = Rule(self.workflows[workflow_id], self.checked(workflow_id), trigger)
            if len(self._rules) > RULES_CACHED_COUNT_MAX:
                del self._rules[next(iter(self._rules))]
        return rule

    def _trigger(self, key: RuleKey) -> AnyTrigger | None:
        return self.workflows[key[0]].newest.trigger(key[1])

    def _terms_of(self, key: RuleKey) -> Terms:
        return _terms(_condition(self._trigger(key)))

    def _put_in(self, workflow: Workflow, position: int, since: Mapping[tuple[str | _Jobs, RuleKey], int]) -> None:
        """`since`: where in the log those began that the version before had as well."""
        for trigger in workflow.dependency_triggers:
            key = (workflow.workflow_id, trigger.id)
            for name in upstream_names(trigger):
                self._dependents.setdefault(name, {})[key] = since.get((name, key), position)
        for place, key in _watched(workflow):
            self._watchers.setdefault(place, {})[key] = since.get((place, key), position)
        for key, trigger in _event_triggers(workflow):
            config = trigger.config
            on_type = self._by_type.get(config.event_type)
            if on_type is None:
                self._by_type.put(config.event_type, (key,))
            elif isinstance(on_type, tuple) and len(on_type) < RULE_OUT_ABOVE_COUNT:
                self._by_type.put(config.event_type, (*on_type, key))
            else:
                if isinstance(on_type, tuple):
                    on_type = self._told_apart(on_type)
                    self._by_type.put(config.event_type, on_type)
                self._file(on_type, key, trigger)

    def _told_apart(self, keys: tuple[RuleKey, ...]) -> Patterns[Leaf]:
        by_source: Patterns[Leaf] = Patterns()
        for key in keys:
            trigger = self._trigger(key)
            assert isinstance(trigger, EventTrigger)
            self._file(by_source, key, trigger)
        return by_source

    def _file(self, by_source: Patterns[Leaf], key: RuleKey, trigger: EventTrigger) -> None:
        source = trigger.config.source
        leaf = by_source.get(source)
        if leaf is None:
            by_source.put(source, (key,))
        elif (now := added(leaf, key, _terms(_condition(trigger)), self._terms_of)) is not leaf:
            by_source.put(source, now)

    def _take_out(self, workflow: Workflow) -> dict[tuple[str | _Jobs, RuleKey], int]:
        """Answers since when they waited that wait for ends of runs and jobs."""
        since: dict[tuple[str | _Jobs, RuleKey], int] = {}
        for trigger in workflow.dependency_triggers:
            key = (workflow.workflow_id, trigger.id)
            for name in upstream_names(trigger):
                since[name, key] = _taken(self._dependents, name, key)
        for place, key in _watched(workflow):
            since[place, key] = _taken(self._watchers, place, key)
        for key, trigger in _event_triggers(workflow):
            config = trigger.config
            on_type = self._by_type.get(config.event_type)
            assert on_type is not None
            left = (
                tuple(other for other in on_type if other != key)
                if isinstance(on_type, tuple)
                else self._unfiled(on_type, key, trigger)
            )
            if not len(left):
                self._by_type.discard(config.event_type)
            elif left is not on_type:
                self._by_type.put(config.event_type, left)
        return since

    def _unfiled(self, by_source: Patterns[Leaf], key: RuleKey, trigger: EventTrigger) -> Patterns[Leaf]:
        source = trigger.config.source
        leaf = by_source.get(source)
        left = None if leaf is None else removed(leaf, key, _terms(_condition(trigger)))
        assert left is not None, f"{key} is not where it was filed"
        if not len(left):
            by_source.discard(source)
        elif left is not leaf:
            by_source.put(source, left)
        return by_source


def _taken(waiting: dict[_Place, dict[RuleKey, int]], place: _Place, key: RuleKey) -> int:
    there = waiting[place]
    since = there.pop(key)
    if not there:
        del waiting[place]
    return since


def _watched(workflow: Workflow) -> Iterator[tuple[_Jobs, RuleKey]]:
    """Experiment (None: any) and type of the jobs that start it. One without an experiment takes only jobs of any."""
    definition = workflow.newest.definition
    for trigger in definition.job_triggers:
        config, key = trigger.config, (workflow.workflow_id, trigger.id)
        if config.across_experiments:
            yield (None, config.trigger_type), key
        elif definition.experiment_id is not None:
            yield (definition.experiment_id, config.trigger_type), key


def _event_triggers(workflow: Workflow) -> Iterator[tuple[RuleKey, EventTrigger]]:
    """With keys whose texts exist once: the version's own."""
    triggers = {trigger.id: trigger for trigger in workflow.event_triggers}
    for trigger_id in workflow.trigger_versions:
        trigger = triggers.get(trigger_id)
        if trigger is not None:
            yield (workflow.workflow_id, trigger_id), trigger


def _fits(rule: Rule, source: str) -> bool:
    assert isinstance(rule.trigger, EventTrigger)
    wanted = rule.trigger.config.source
    return wanted in ("*", source) or ("*" in wanted and Pattern(wanted).matches(source))


def upstream_names(trigger: DependencyTrigger) -> set[str]:
    return {upstream.workflow_id for upstream in trigger.config.upstreams}


def _by_key(rule: Rule) -> RuleKey:
    return rule.key


def _value_key(value: Any, path: Path) -> Any:
    for step in path:
        if not isinstance(value, dict):
            return None
        value = value.get(step, _ABSENT)
    return index_key(value)
