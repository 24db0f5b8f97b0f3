"""Where the ways of a graph part and meet again: conditions, parallels and their merges."""

from collections import deque
from collections.abc import Iterator

from flowforge.definition import ConditionNode, MergeNode, Node, ParallelNode

from services.catalog.settings import branch_steps_max
from services.catalog.validation.draft import Draft, Placed
from services.catalog.validation.implied import named_paths
from services.catalog.validation.report import Findings
from services.catalog.validation.structure import Shape, Shapes

_NONE = -1


def check_branches(draft: Draft, shapes: Shapes, findings: Findings) -> None:
    """Every condition, parallel and merge of every graph."""
    unread_ids = frozenset[str]().union(*(region.unread_ids for region in draft.regions))
    steps_left = branch_steps_max
    for shape in shapes.all:
        checker = _Checker(shape, shapes, unread_ids, findings, steps_left)
        checker.check()
        steps_left = checker.steps_left


class _Checker:
    def __init__(
        self, shape: Shape, shapes: Shapes, unread_ids: frozenset[str], findings: Findings, steps_left: int
    ) -> None:
        self.shape = shape
        self.steps_left = steps_left
        self._shapes = shapes
        self._unread_ids = unread_ids
        self._findings = findings
        self._merges: dict[str, Placed[Node]] = {}
        """The first merge of each parallel."""

    def check(self) -> None:
        for placed in self.shape.nodes:
            if isinstance(placed.item, ConditionNode):
                self._check_condition(placed, placed.item)
            elif isinstance(placed.item, ParallelNode):
                self._check_targets(placed, placed.item)
            elif isinstance(placed.item, MergeNode):
                self._check_merge(placed, placed.item)
        for placed in self.shape.nodes:
            if isinstance(placed.item, ParallelNode):
                self._check_joining(placed, placed.item, self._merges.get(placed.item.id))

    # --- conditions ---------------------------------------------------------------------------------------------------

    def _check_condition(self, placed: Placed[Node], node: ConditionNode) -> None:
        if not node.taken_if_true and not node.taken_if_false:
            self._findings.error(
                "CONDITION_WITHOUT_PATH",
                placed.at,
                f"the condition '{node.id}' leads nowhere: it has neither true_path nor false_path",
                "name the node that follows when it is true, in true_path, or when it is false, in false_path",
                [node.id],
            )
        first: dict[str, str] = {}
        for field in ("true_path", "false_path"):
            for path, name in named_paths(placed, field):
                self._check_named(placed, path, name, f"the {field} of '{node.id}'")
                if first.setdefault(name, path) != path:
                    self._twice(node, path, name, first[name])
        own = self.shape.number[node.id]
        for target in dict.fromkeys(self.shape.successors[own]):
            name = self.shape.id(target)
            if name not in first and first:
                message = f"an edge leads from the condition '{node.id}' to '{name}', which is on neither of its paths"
                mend = "name it in true_path or false_path, unless it is to run whatever the condition says"
                self._findings.warning("ON_NEITHER_PATH", placed.at, message, mend, [node.id, name])

    def _twice(self, node: ConditionNode, path: str, name: str, first: str) -> None:
        if name in node.taken_if_true and name in node.taken_if_false:
            message = f"'{name}' is on both paths of '{node.id}', so the condition decides nothing for it"
            mend = f"take it off one path; a node that runs either way follows '{node.id}' by an edge"
            self._findings.error("AMBIGUOUS_PATH", path, message, mend, [node.id, name])
        else:
            message = f"'{name}' stands twice on one path of '{node.id}', first at {first}"
            self._findings.warning("AMBIGUOUS_PATH", path, message, "name it once", [node.id, name])

    def _check_named(self, placed: Placed[Node], path: str, name: str, what: str) -> bool:
        """Whether a node that is named as a target stands in the same graph."""
        if name in self.shape.number:
            return True
        nodes = [placed.item.id, name]
        if name in self._shapes.of:
            self._findings.error(
                "CROSSES_BODY", path, f"{what} leads to '{name}', which stands in another graph: {self._where(name)}",
                "name a node of the same graph", nodes,
            )  # fmt: skip
        elif name not in self._unread_ids and not self.shape.region.has_unread_nodes:
            mend = self._findings.did_you_mean(name, self.shape.number, "add the node, or name another one")
            message = f"{what} names a node '{name}' that does not exist"
            self._findings.error("MISSING_DEPENDENCY", path, message, mend, nodes)
        return False

    def _where(self, name: str) -> str:
        loop = self._shapes.of[name].loop_id
        return f"in the body of the loop '{loop}'" if loop else "outside of this loop's body"

    # --- parallels and merges -----------------------------------------------------------------------------------------

    def _check_targets(self, placed: Placed[Node], node: ParallelNode) -> None:
        first: dict[str, str] = {}
        for at, branch in enumerate(node.branches):
            path, name = f"{placed.path('branches')}[{at}].target_node_id", branch.target_node_id
            self._check_named(placed, path, name, f"a branch of '{node.id}'")
            if first.setdefault(name, path) != path:
                message = f"two branches of '{node.id}' begin with '{name}', first at {first[name]}"
                mend = "give each branch a node of its own, or make it one branch"
                self._findings.error("DUPLICATE_BRANCH", path, message, mend, [node.id, name])

    def _check_merge(self, placed: Placed[Node], node: MergeNode) -> None:
        path, name = placed.path("parallel_node_id"), node.parallel_node_id
        if not self._check_named(placed, path, name, f"the merge '{node.id}'"):
            return
        named = self.shape.nodes[self.shape.number[name]].item
        if not isinstance(named, ParallelNode):
            kind = named.__struct_config__.tag
            message = f"the merge '{node.id}' joins the branches of a parallel, and '{name}' is a {kind}"
            mend = "name the parallel node whose branches meet here; nodes need no merge to follow several others"
            self._findings.error("NO_PARALLEL", path, message, mend, [node.id, name])
            return
        first = self._merges.setdefault(name, placed)
        if first is not placed:
            message = f"'{node.id}' and '{first.item.id}' both join the branches of '{name}'"
            mend = "a parallel has one merge: give one of them another parallel, or make it another type of node"
            self._findings.error("DUPLICATE_MERGE", path, message, mend, [first.item.id, node.id, name])

    def _check_joining(self, parallel: Placed[Node], node: ParallelNode, merge: Placed[Node] | None) -> None:
        joined = merge.item if merge is not None and isinstance(merge.item, MergeNode) else None
        self._check_modes(parallel, node, merge, joined)
        if merge is None:
            if node.wait_for in ("any", "count"):
                message = f"'{node.id}' waits for {node.wait_for}, but no merge joins its branches"
                mend = f"add a merge with parallel_node_id: {node.id}, or leave out wait_for"
                self._findings.warning("WITHOUT_EFFECT", parallel.path("wait_for"), message, mend, [node.id])
            return
        self._check_members(parallel, node, merge.item)

    def _check_modes(
        self, parallel: Placed[Node], node: ParallelNode, merge: Placed[Node] | None, joined: MergeNode | None
    ) -> None:
        merge_mode, merge_count = (None, None) if joined is None else (joined.mode, joined.required_count)
        mode = merge_mode or node.wait_for or "all"
        count = merge_count or node.required_count
        at, field = (parallel, "wait_for") if merge is None or merge_mode is None else (merge, "mode")
        nodes = [node.id] if joined is None else [node.id, joined.id]
        for mine, theirs, name, other in (
            (merge_mode, node.wait_for, "mode", "wait_for"),
            (merge_count, node.required_count, "required_count", "required_count"),
        ):
            if mine is not None and theirs is not None and mine != theirs and merge is not None:
                self._findings.error(
                    "MERGE_DISAGREES", merge.path(name),
                    f"{name} of the merge '{merge.item.id}' is {mine}, but {other} of its parallel '{node.id}' is {theirs}",
                    "make them equal, or leave one of them out", nodes,
                )  # fmt: skip
        where = merge if merge is not None and merge_count is not None else parallel
        if mode == "count" and count is None:
            message = f"'{at.item.id}' waits for a count of branches, and no required_count says how many"
            mend = f"add required_count, from 1 to {len(node.branches)}"
            self._findings.error("REQUIRED_COUNT", at.path(field), message, mend, nodes)
        elif mode == "count" and count is not None and count > len(node.branches):
            message = f"required_count is {count}, but '{node.id}' has {len(node.branches)} branches"
            mend = f"write a number from 1 to {len(node.branches)}"
            self._findings.error("REQUIRED_COUNT", where.path("required_count"), message, mend, nodes)
        elif mode != "count" and count is not None:
            message = f"required_count has a meaning only with count, and '{at.item.id}' waits for {mode}"
            mend = f"leave out required_count, or write {field}: count"
            self._findings.error("REQUIRED_COUNT", where.path("required_count"), message, mend, nodes)

    def _check_members(self, parallel: Placed[Node], node: ParallelNode, merge: Node) -> None:
        """Each branch leads to the merge, and no node belongs to two of them."""
        if self.steps_left <= 0:
            message = f"parallels stand inside one another so often that the branches of '{node.id}' are not looked at"
            mend = "let inner parts be workflows of their own, started by workflow nodes"
            self._findings.error("TOO_COMPLEX", parallel.at, message, mend, [node.id])
            return
        number, end = self.shape.number, self.shape.number[merge.id]
        branch_of = [_NONE] * len(self.shape.nodes)
        starts: set[int] = set()
        arrived: set[int] = set()
        met: set[tuple[int, int]] = set()
        for at, branch in enumerate(node.branches):
            start = number.get(branch.target_node_id, _NONE)
            path = f"{parallel.path('branches')}[{at}].target_node_id"
            if start == _NONE or start in starts:  # told of already
                continue
            starts.add(start)
            if start == end:
                message = f"a branch of '{node.id}' leads straight to its merge '{merge.id}', so nothing is in it"
                mend = "name the first node of the branch, or leave the branch out"
                self._findings.error("EMPTY_BRANCH", path, message, mend, [node.id, merge.id])
                continue
            for member, other in self._walk(start, end, at, branch_of):
                if member == end:
                    arrived.add(at)
                elif (other, at) not in met:
                    met.add((other, at))
                    self._shared(parallel, node, member, (other, at), merge)
            if at not in arrived and not any(pair[1] == at for pair in met):
                message = f"the branch '{branch.target_node_id}' of '{node.id}' does not lead to its merge '{merge.id}'"
                mend = f"lead it there by an edge; a node that nobody waits for follows '{node.id}' by an edge instead"
                self._findings.error(
                    "BRANCH_UNJOINED", path, message, mend, [node.id, branch.target_node_id, merge.id]
                )  # fmt: skip

    def _walk(self, start: int, end: int, branch: int, branch_of: list[int]) -> Iterator[tuple[int, int]]:
        """Goes down a branch; yields the merge where it is reached, and nodes of other branches with their branch."""
        if branch_of[start] not in (_NONE, branch):
            yield start, branch_of[start]
            return
        branch_of[start] = branch
        waiting = deque([start])
        while waiting:
            for target in self.shape.successors[waiting.popleft()]:
                self.steps_left -= 1
                if target == end or branch_of[target] not in (_NONE, branch):
                    yield target, branch_of[target]
                elif branch_of[target] == _NONE:
                    branch_of[target] = branch
                    waiting.append(target)

    def _shared(
        self, parallel: Placed[Node], node: ParallelNode, member: int, branches: tuple[int, int], merge: Node
    ) -> None:
        name = self.shape.id(member)
        one, other = (node.branches[at].target_node_id for at in branches)
        self._findings.error(
            "BRANCHES_MEET",
            f"{parallel.path('branches')}[{branches[1]}].target_node_id",
            f"the branches '{one}' and '{other}' of '{node.id}' both lead to '{name}' before their merge '{merge.id}'",
            f"let them meet in '{merge.id}' only: put '{name}' behind it, or give each branch a node of its own",
            [name, one, other],
        )
