"""How a run ends, from interface.md 1.1 to 1.3 alone; nothing of the execution service is in here.

A graph's statuses are a fixpoint over its nodes: each end follows from the ends of the node's sources, the outcome that
nature has for its work, and the moments at which something stopped the node: the first failure under fail_fast, a merge
that was decided, a cancel, a timeout. Of the run itself the oracle is told the order in which nodes began and ended
(`Order`), never how: where interface.md leaves the order open (which branch came first), the run's own order is right.
"""

import itertools
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from flowforge.definition import (
    ConditionNode,
    DataTransformNode,
    DelayNode,
    Edge,
    EndNode,
    LoopNode,
    MergeNode,
    Node,
    ParallelNode,
    StartNode,
    Workflow,
)

from tests.unit.execution.oracle_terms import (
    BEFORE,
    NEVER,
    End,
    Moment,
    Nature,
    Order,
    Place,
    Shape,
    iterations_wanted,
    leaf_output,
    reason_to_skip,
)


class Question(NamedTuple):
    """A run to be foretold. `cancelled_at`, `timed_out_at`: when somebody asked for it, or its time was over.

    After a retry: `kept` is what it left as it was, `kept_instances` what maps that go on need not do again.
    """

    workflow: Workflow
    order: Order
    nature: Nature
    flags: dict[str, Any]
    cancelled_at: float = NEVER
    timed_out_at: float = NEVER
    from_node: str | None = None
    kept: dict[str, End] = {}  # noqa: RUF012 - never changed
    kept_instances: dict[Place, End] = {}  # noqa: RUF012 - never changed


class Answer(NamedTuple):
    """The run's status and output, its nodes' ends, and the end of each place that was looked into."""

    status: str
    output: Any
    ends: dict[str, End]
    places: dict[Place, End]


def foretell(question: Question) -> Answer:
    """How the run ends."""
    return _Oracle(question).answer()


def retried(workflow: Workflow, ends: dict[str, End], from_nodes: Iterable[str] = ()) -> set[str]:
    """What a retry clears: failed, cancelled and stopped nodes, or those that are named, and every descendant of theirs;
    of a branch that merely lost, what is left, where its merge is decided anew."""
    shape = Shape(workflow.nodes, workflow.effective_edges())
    cleared = set(from_nodes) or _went_wrong(shape, ends)
    while True:
        more = cleared | shape.below(cleared)
        for merge in more & shape.branches.keys():
            more |= {name for name in shape.members(merge) if ends[name].reason == "branch_lost"}
        if more == cleared:
            return cleared
        cleared = more


def _went_wrong(shape: "Shape", ends: dict[str, End]) -> set[str]:
    stopped = ("upstream_failed", "run_failed", "run_cancelled")
    return {
        name
        for name, end in ends.items()
        if (end.status in ("failed", "cancelled") or end.reason in stopped)
        and end.reason != "branch_lost"
        and not any(ends[m].came and name not in ends[m].came for m in shape.contests(name))
    }


class _Oracle:
    def __init__(self, question: Question) -> None:
        self.asked = question
        self.settings = question.workflow.settings
        self.places: dict[Place, End] = {}
        self.shapes: dict[str, Shape] = {}
        self._known: dict[Place, tuple[End, dict[Place, End]]] = {}

    def answer(self) -> Answer:
        shape = Shape(self.asked.workflow.nodes, self.asked.workflow.effective_edges())
        graph = _Graph(self, shape, Place(""), None)
        ends = graph.ends()
        output = leaf_output(shape, ends, [n for n in shape.nodes if isinstance(shape.nodes[n], EndNode)])
        if self.asked.cancelled_at < NEVER:
            return Answer("cancelled", None, ends, self.places)
        failed = graph.first_failure(ends) is not None
        if not failed and self.asked.timed_out_at == NEVER:
            return Answer("completed", output, ends, self.places)
        stopped = self.settings.is_fail_fast or self.asked.timed_out_at < NEVER
        if not stopped and self.settings.may_end_partial and any(ends[n].status == "completed" for n in shape.leaves):
            return Answer("partial", output, ends, self.places)
        return Answer("failed", None, ends, self.places)

    def shape_of(self, loop: LoopNode) -> Shape:
        if loop.id not in self.shapes:
            self.shapes[loop.id] = Shape(loop.body.nodes, loop.body.effective_edges())
        return self.shapes[loop.id]

    def once_known(self, place: Place, work: Callable[[], End]) -> tuple[End, dict[Place, End]]:
        """What work gives, if nothing stops it, and the ends of all that is inside of it: looked into once."""
        if place not in self._known:
            outside, self.places = self.places, {}
            end = work()
            self._known[place] = end, self.places
            self.places = outside
        return self._known[place]


class _Graph:
    """The workflow's own graph, or one iteration of a loop's body, in which `around` is the iteration's place."""

    def __init__(self, oracle: _Oracle, shape: Shape, around: Place, index: int | None) -> None:
        self.oracle, self.asked, self.shape = oracle, oracle.asked, shape
        self.order = self.asked.order
        self.around, self.index = around, index
        self.is_root = index is None
        self._inside: dict[str, dict[Place, End]] = {}

    def ends(self) -> dict[str, End]:
        moments: list[Moment] = []
        for _ in range(2 * len(self.shape.nodes) + 10):
            ends: dict[str, End] = {}
            self._inside.clear()
            for name in self.shape.in_order:
                ends[name] = self._end(name, ends, moments)
            found = self._moments(ends)
            if found == moments:
                self.oracle.places |= {self.place(name): end for name, end in ends.items()}
                for inside in self._inside.values():
                    self.oracle.places |= inside
                return ends
            settled = sum(
                1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(moments, found, strict=False))
            )
            moments = found[: settled + 1]  # the first that is new is certain; those after it may not come to pass
        raise AssertionError("no fixpoint")

    def place(self, name: str) -> Place:
        return Place(name, self.around.path, self.around.rounds)

    def first_failure(self, ends: dict[str, End]) -> End | None:
        """The first that counts, at the time from which on it does."""
        failed = [end._replace(at=self._counts_at(name, ends)) for name, end in ends.items() if end.status == "failed"]
        first = min(failed, key=lambda end: end.at, default=None)
        return first if first is not None and first.at < NEVER else None

    def _counts_at(self, name: str, ends: dict[str, End]) -> float:
        """When a failure counts for the graph: not where it is allowed, not before its contest is decided, and then not if
        its branch lost."""
        at = NEVER if self.shape.nodes[name].allow_failure else ends[name].at
        for merge in self.shape.contests(name):
            node, end = self.shape.nodes[merge], ends[merge]
            assert isinstance(node, MergeNode)
            if ends[node.parallel_node_id].status == "completed":
                is_lost = end.status not in ("completed", "skipped") or (end.came and name not in end.came)
                at = NEVER if is_lost else max(at, end.at)
        return at

    # --- when a node runs (1.3) ---------------------------------------------------------------------------------------

    def _end(self, name: str, ends: dict[str, End], moments: list[Moment]) -> End:
        if self.is_root and name in self.asked.kept:
            return self.asked.kept[name]
        node, place = self.shape.nodes[name], self.place(name)
        began, ended = self.order.began(place), self.order.ended(place)
        stops = [moment for moment in moments if moment.at < ended and name in moment.reasons]
        if stops:
            stop = min(stops, key=lambda moment: moment.at)
            reason = stop.reasons[name]
            if began < stop.at:
                return End("cancelled", reason if reason == "branch_lost" else "", at=ended)
            return End("skipped", reason, at=ended)
        if isinstance(node, MergeNode) and ends[node.parallel_node_id].status == "completed":
            return self._merge(node, min(began, ended), ended, ends)
        states = [(self._edge(edge, ends), ends[edge.source_node_id]) for edge in self.shape.incoming[name]]
        reason = "" if self._begins_at(name) else reason_to_skip(node.run_if, states)
        if reason:
            return End("skipped", reason, at=ended)
        if isinstance(node, MergeNode):
            return End("completed", output=self._joined_output(name, began, ends), at=ended)
        end, self._inside[name] = self.oracle.once_known(place, lambda: self._work(node, place))
        return end._replace(at=ended)

    def _edge(self, edge: Edge, ends: dict[str, End]) -> str:
        source, node = ends[edge.source_node_id], self.shape.nodes[edge.source_node_id]
        if source.status == "skipped":
            return "inactive" if source.reason in ("branch_not_taken", "not_selected") else "unsatisfied"
        if isinstance(node, ConditionNode) and source.status == "completed":
            named = node.taken_if_false if source.output["result"] else node.taken_if_true
            if edge.target_node_id in named:
                return "inactive"
        if edge.condition is not None and not self._holds(edge.condition, source):
            return "inactive"
        satisfied = {
            "on_success": source.status == "completed" or (source.status == "failed" and node.allow_failure),
            "on_failure": source.status == "failed",
            "on_completion": source.status in ("completed", "failed", "cancelled"),
        }
        return "satisfied" if satisfied[edge.dependency or "on_success"] else "unsatisfied"

    def _holds(self, text: str, source: End | None = None) -> bool:
        """The few conditions that random workflows have. One that looks at an output which is not there holds."""
        if text in ("true", "false"):
            return text == "true"
        if match := re.fullmatch(r"input\.(\w+)", text):
            return self.asked.flags[match[1]]
        if text == "index % 2 == 0":
            assert self.index is not None
            return self.index % 2 == 0
        assert re.fullmatch(r'nodes\["[\w-]+"\]\.output\.ok', text), text
        return source is None or source.status != "completed" or bool(source.output["ok"])

    def _begins_at(self, name: str) -> bool:
        """The run begins there, and nothing above it was selected: it runs whatever its edges are."""
        above = [self.asked.kept.get(edge.source_node_id) for edge in self.shape.incoming[name]]
        is_first = all(end is not None and end.reason == "not_selected" for end in above)
        return self.is_root and name == self.asked.from_node and is_first

    def _merge(self, node: MergeNode, decided_at: float, ended: float, ends: dict[str, End]) -> End:
        state = self._joined(node.id, decided_at, ends)
        if decided_at > self.order.settled(self._decidable_at(node, ends)):
            return End("late", at=ended)
        if state == "met":
            output, came = self._joined_output(node.id, decided_at, ends), self._came(node.id, decided_at, ends)
            return End("completed", output=output, at=ended, came=came)
        if state == "not_taken":
            return End("skipped", "branch_not_taken", at=ended)
        return End("failed" if state == "failed" else "undecided", at=ended, is_fatal=True)

    def _decidable_at(self, node: MergeNode, ends: dict[str, End]) -> float:
        """As soon as its mode is met or can no longer be met."""
        began = ends[node.parallel_node_id].at
        ranks = sorted({max(ends[e.source_node_id].at, began) for e in self.shape.incoming[node.id]})
        return next((at for at in ranks if self._joined(node.id, at + 0.5, ends) != "pending"), NEVER)

    def _joined_output(self, merge: str, at: float, ends: dict[str, End]) -> Any:
        """A merge gives its input: by id what those before it gave, of a single one what that gave."""
        if self._begins_at(merge):
            return self.asked.flags
        sources = {e.source_node_id: ends[e.source_node_id] for e in self.shape.incoming[merge]}
        given = {n: end.output for n, end in sources.items() if end.status == "completed" and end.at < at}
        return given if len(sources) > 1 else given.get(next(iter(sources)))

    def _branch_states(self, merge: str, at: float, ends: dict[str, End]) -> list[str]:
        """Of each branch, by what had ended before `at`."""
        found: list[str] = []
        for members in self.shape.branches[merge]:
            edges = [edge for edge in self.shape.incoming[merge] if edge.source_node_id in members]
            states = [self._edge(e, ends) if ends[e.source_node_id].at < at else "pending" for e in edges]
            if "unsatisfied" in states:
                found.append("lost")
            elif "pending" in states:
                found.append("pending")
            else:
                found.append("came" if "satisfied" in states else "not_taken")
        return found

    def _came(self, merge: str, at: float, ends: dict[str, End]) -> frozenset[str]:
        """The nodes of the branches that came."""
        pairs = zip(self._branch_states(merge, at, ends), self.shape.branches[merge], strict=True)
        return frozenset[str]().union(*(members for state, members in pairs if state == "came"))

    def _joined(self, merge: str, at: float, ends: dict[str, End]) -> str:
        states = self._branch_states(merge, at, ends)
        came, pending = states.count("came"), states.count("pending")
        mode, count = self.shape.mode(merge)
        if all(state == "not_taken" for state in states):
            return "not_taken"
        if mode == "all":
            return "failed" if "lost" in states else "pending" if pending else "met"
        wanted = 1 if mode == "any" else count
        return "met" if came >= wanted else "failed" if came + pending < wanted else "pending"

    # --- what stops nodes ---------------------------------------------------------------------------------------------

    def _moments(self, ends: dict[str, End]) -> list[Moment]:
        moments = [moment for merge in self.shape.branches for moment in self._dropped(merge, ends)]
        stops = [(self.asked.cancelled_at, "run_cancelled"), (self.asked.timed_out_at, "run_failed")] * self.is_root
        if self.oracle.settings.is_fail_fast:
            failures = [self._counts_at(name, ends) for name, end in ends.items() if end.status == "failed"]
            first = min((at for at in failures if at > BEFORE), default=NEVER)
            if all(first < at for at, _ in stops):
                stops.append((first, "run_failed"))
        moments += [self._halted(at, reason, ends) for at, reason in stops if at < NEVER]
        return sorted(moments, key=lambda moment: moment.at)

    def _halted(self, at: float, reason: str, ends: dict[str, End]) -> Moment:
        """fail_fast, cancel, timeout: all stops but what exists for failure, below what failed or is cancelled now."""
        failed = {n for n, end in ends.items() if end.status == "failed" and self._counts_at(n, ends) <= at}
        under_way = {n for n in ends if self.order.began(self.place(n)) < at < self.order.ended(self.place(n))}
        under_way -= self.asked.kept.keys() if self.is_root else set()
        cleanup = {n for n in self.shape.below(failed | under_way) if self.shape.exists_for_failure(n)}
        exempt = (cleanup | self.shape.below(cleanup)) - under_way
        below = self.shape.below(failed)
        return Moment(at, {n: "upstream_failed" if n in below else reason for n in ends if n not in exempt})

    def _dropped(self, merge: str, ends: dict[str, End]) -> Iterable[Moment]:
        """A decided merge: what is left of the branches that did not come."""
        place, end = self.place(merge), ends[merge]
        decided_at = min(self.order.began(place), self.order.ended(place))
        node = self.shape.nodes[merge]
        assert isinstance(node, MergeNode)
        has_joined = ends[node.parallel_node_id].status == "completed" and end.status in ("completed", "failed")
        if not has_joined or end.at == BEFORE:
            return
        if end.status == "completed" and not self.shape.is_contest(merge):
            return
        yield Moment(decided_at, dict.fromkeys(sorted(self.shape.members(merge) - end.came), "branch_lost"))

    # --- what work gives ----------------------------------------------------------------------------------------------

    def _work(self, node: Node, place: Place) -> End:
        match node:
            case StartNode() | EndNode() | ParallelNode():
                return End("completed", output=self._passed(node))
            case ConditionNode() if node.condition == "input.missing.x":
                return End("failed", is_fatal=True)
            case ConditionNode():
                return End("completed", output={"result": self._holds(node.condition)})
            case _ if node.for_each is not None:
                return self._map(node, place)
            case _:
                return self._attempts(node, place, self.index)

    def _attempts(self, node: Node, place: Place, index: int | None) -> End:
        if isinstance(node, DataTransformNode | DelayNode):
            return self._computed(node, index)
        policy = node.retry_policy
        recovery = self.oracle.settings.recovery
        attempts_max = 1 if policy is None else policy.max_attempts
        if policy is None and recovery.retry_failed_nodes and node.__struct_config__.tag in ("job", "workflow"):
            attempts_max = recovery.max_retry_attempts + 1
        first = self.order.first_attempt(place)
        for attempt in itertools.count(first):
            if isinstance(node, LoopNode):
                end = self._loop(node, place, attempt)
            else:
                outcome = self.asked.nature.outcome(place, attempt)
                output = self.asked.nature.output(place, attempt)
                end = End("completed", output=output) if outcome == "ok" else End("failed", is_fatal=outcome == "fatal")
            if end.status == "completed" or end.is_fatal or attempt - first + 1 >= attempts_max:
                return end
        raise AssertionError("unreachable")

    def _passed(self, node: Node) -> Any:
        """Such nodes pass their input on: the run's where it begins there, else what their empty `input_mapping` gives."""
        return self.asked.flags if self._begins_at(node.id) else {}

    def _computed(self, node: DataTransformNode | DelayNode, index: int | None) -> End:
        if isinstance(node, DelayNode):
            return End("completed", output=self._passed(node))
        if "input.missing" in str(node.expressions):
            return End("failed", is_fatal=True)
        return End("completed", output={n: index if v == "${index}" else v for n, v in node.expressions.items()})

    def _map(self, node: Node, place: Place) -> End:
        assert isinstance(node.for_each, list)
        stops_at_failure = self.oracle.settings.is_fail_fast and not node.allow_failure
        attempt = self.order.first_attempt(place)
        ends: dict[int, End] = {}
        for index, instance in self._as_they_ended(place.inner(node.id, i, attempt) for i in range(len(node.for_each))):
            at = self.order.ended(instance)
            end = self.asked.kept_instances.get(instance) or self._attempts(node, instance, index)._replace(at=at)
            ends[index] = self.oracle.places[instance] = end
            if end.status == "failed" and stops_at_failure:
                return end
        if len(ends) < len(node.for_each):
            return End("undecided")
        failures = [ends[index] for index in sorted(ends) if ends[index].status == "failed"]
        if failures and not node.allow_failure:
            return failures[0]
        return End("completed", output=[ends[index].output for index in sorted(ends)])

    def _as_they_ended(self, places: Iterable[Place]) -> list[tuple[int, Place]]:
        """Those that began, with their index."""
        kept = self.asked.kept_instances
        begun = [(i, each) for i, each in enumerate(places) if each in kept or self.order.began(each) < NEVER]
        return sorted(begun, key=lambda pair: BEFORE if pair[1] in kept else self.order.ended(pair[1]))

    def _loop(self, node: LoopNode, place: Place, attempt: int) -> End:
        wanted = iterations_wanted(node)
        is_over_limit = wanted > node.max_iterations
        if is_over_limit and node.loop_type != "while":
            return End("failed", is_fatal=True)
        is_sequential = node.loop_type == "while" or node.max_parallel in (None, 1)
        count = min(wanted, node.max_iterations)
        outputs: dict[int, Any] = {}
        failures: list[End] = []
        for index, around in self._as_they_ended(place.inner(f"{node.id}#", i, attempt) for i in range(count)):
            end = self._iteration(node, around, index)
            outputs[index] = end.output
            failures += [end] if end.status == "failed" else []
            if failures and (is_sequential or self.oracle.settings.is_fail_fast):
                break
        if failures:
            return End("failed", is_fatal=failures[0].is_fatal)
        if len(outputs) < count:
            return End("undecided")
        if is_over_limit:
            return End("failed", is_fatal=True)
        return End("completed", output=[outputs[index] for index in range(count)])

    def _iteration(self, node: LoopNode, around: Place, index: int) -> End:
        ended = self.order.ended(around)
        if ended == NEVER:
            return End("undecided")
        shape = self.oracle.shape_of(node)
        graph = _Graph(self.oracle, shape, around, index)
        ends = graph.ends()
        failure = graph.first_failure(ends)
        if failure is not None:
            return End("failed", at=ended, is_fatal=failure.is_fatal)
        return End("completed", output=leaf_output(shape, ends, []), at=ended)
