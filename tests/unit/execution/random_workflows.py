"""Random workflows: all that decides when a node runs, in any combination that validation lets through."""

from random import Random
from typing import Any

RULES = ("all_done", "none_failed", "at_least_one_success", "at_least_one_failed", "all_failed")
FLAGS = ("f0", "f1", "f2")
LOOP_DEPTH_MAX = 2
Object = dict[str, Any]


def random_workflow(rng: Random, size: int) -> Object:
    """A definition of about so many nodes, the bodies of loops included."""
    sketch = _Sketch(rng)
    nodes, edges = sketch.graph(size, depth=0)
    return {"id": "wf", "name": "A workflow", "nodes": nodes, "edges": edges, "settings": _settings(rng)}


def _settings(rng: Random) -> Object:
    recovery: Object = {}
    if rng.random() < 0.3:
        recovery["fallback_to_partial_execution"] = True
    if rng.random() < 0.2:
        recovery[rng.choice(["continue_on_node_failure", "skip_failed_branches"])] = True
    if rng.random() < 0.2:
        recovery |= {"retry_failed_nodes": True, "max_retry_attempts": rng.randint(1, 2)}
    return {
        "max_parallel_jobs": rng.choice([1, 2, 3, 5, 20]),
        "fail_fast": rng.random() < 0.5,
        "recovery": recovery,
    }


class _Sketch:
    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.count = 0
        self.forks_around = 0

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def name(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}{self.count}"

    def graph(self, size: int, depth: int) -> tuple[list[Object], list[Object]]:
        """Nodes and edges of a graph of its own; random edges lead forwards only."""
        nodes: list[Object] = []
        edges: list[Object] = []
        left = max(size, 1)
        exits: list[Object] = []
        while left > 0:
            entry, out, used = self.part(nodes, edges, left, depth)
            left -= used
            for source in self.rng.sample(exits, min(len(exits), self.rng.choice([0, 1, 1, 1, 2, 2, 3]))):
                self.link(edges, source, entry)
            exits += out
        self.finish(nodes, edges)
        self.rng.shuffle(nodes)
        return nodes, edges

    def part(self, nodes: list[Object], edges: list[Object], left: int, depth: int) -> tuple[Object, list[Object], int]:
        """One node, a loop, or a parallel with its branches and merge: its entry, its exits, how many nodes it took."""
        if left >= 4 and self.chance(0.18):
            return self.fork(nodes, edges, min(left, self.rng.randint(4, 24)), depth)
        if left >= 2 and depth < LOOP_DEPTH_MAX and self.chance(0.12):
            size = self.rng.randint(1, min(left - 1, 8))
            node = self.loop(size, depth)
            nodes.append(node)
            return node, [node], size + 1
        node = self.leaf(depth)
        nodes.append(node)
        return node, [node], 1

    def fork(self, nodes: list[Object], edges: list[Object], size: int, depth: int) -> tuple[Object, list[Object], int]:
        self.forks_around += 1
        parallel: Object = {"id": self.name("p"), "type": "parallel", "input_mapping": {}}
        merge: Object = {"id": self.name("m"), "type": "merge", "parallel_node_id": parallel["id"]}
        nodes += [parallel, merge]
        used, branches = 2, self.rng.randint(1, 4)
        targets: list[str] = []
        escapes: list[Object] = []
        for _ in range(branches):
            inner: list[Object] = []
            entry, exits, took = self.part(inner, edges, max(1, (size - used) // branches), depth)
            targets.append(entry["id"])
            used += took
            for _ in range(self.rng.choice([0, 0, 1, 1, 2, 3])):
                more, out, took = self.part(inner, edges, max(1, (size - used) // branches), depth)
                self.link(edges, self.rng.choice(exits), more)
                exits, used = exits + out, used + took
            nodes += inner
            for source in {id(each): each for each in [exits[-1], self.rng.choice(exits)]}.values():
                self.link(edges, source, merge)
            if self.chance(0.05) and self.forks_around == 1 and not escapes:  # branches meet in their merge only
                escapes.append(self.rng.choice(exits))
        self.forks_around -= 1
        parallel["branches"] = [{"target_node_id": target} for target in targets]
        at = self.rng.choice([parallel, merge])
        mode = self.rng.choice(["all", "any", "any", "count"])
        at["wait_for" if at is parallel else "mode"] = mode
        if mode == "count":
            at["required_count"] = self.rng.randint(1, branches)
        return parallel, [merge, *escapes], used

    def loop(self, size: int, depth: int) -> Object:
        around, self.forks_around = self.forks_around, 0
        nodes, edges = self.graph(size, depth + 1)
        self.forks_around = around
        kind = self.rng.choice(["for_each", "count", "while"])
        times = self.rng.choice([0, 1, 2, 2, 3, 4])
        node: Object = {
            "id": self.name("l"),
            "type": "loop",
            "loop_type": kind,
            "body": {"nodes": nodes, "edges": edges},
        }
        node |= {
            "for_each": {"array_source": list(range(times))},
            "count": {"count": times},
            "while": {"condition": f"index < {times}"},
        }[kind]
        if self.chance(0.1):
            node["max_iterations"] = max(1, times - 1)
        if self.chance(0.4):
            node["max_parallel"] = self.rng.randint(1, 3)
        if self.chance(0.1):
            self.repeat(node)
        return self.dress(node)

    def leaf(self, depth: int) -> Object:
        kinds = ["job"] * 10 + ["data_transform"] * 3 + ["condition"] * 3
        kinds += ["delay", "human_approval", "wait_event", "workflow", "start"] + (["end"] if self.chance(0.2) else [])
        kind = self.rng.choice(kinds)
        prefix = {"human_approval": "approval", "wait_event": "event"}.get(kind, kind[0])
        node: Object = {"id": self.name(prefix), "type": kind}
        match kind:
            case "job":
                node["job_type"] = "work"
            case "data_transform":
                value = "${index}" if depth and self.chance(0.5) else node["id"]
                node["expressions"] = {"v": "${input.missing.x}" if self.chance(0.15) else value}
            case "condition":
                node["condition"] = "input.missing.x" if self.chance(0.1) else self.condition(depth)
                node["is_inner"] = depth > 0
            case "delay":
                node |= {"duration_ms": self.rng.choice([0, 1_000, 60_000]), "input_mapping": {}}
            case "wait_event":
                node |= {"event_type": "came", "timeout_ms": 10**10}
            case "workflow":
                node["workflow_id"] = "child"
            case "start" | "end":
                node["input_mapping"] = {}
            case _:
                pass
        if kind not in ("start", "end", "condition") and self.chance(0.12):
            self.repeat(node)
        return self.dress(node)

    def condition(self, depth: int) -> str:
        choices = ["true", "false", *(f"input.{flag}" for flag in FLAGS)]
        return self.rng.choice([*choices, "index % 2 == 0"] if depth else choices)

    def repeat(self, node: Object) -> None:
        node["for_each"] = list(range(self.rng.choice([0, 1, 2, 3, 5])))
        if self.chance(0.4):
            node.setdefault("max_parallel", self.rng.randint(1, 3))

    def dress(self, node: Object) -> Object:
        if self.chance(0.15):
            node["allow_failure"] = True
        if self.chance(0.25) and node["type"] in ("job", "loop", "workflow", "wait_event", "human_approval"):
            node["retry_policy"] = {"max_attempts": self.rng.randint(1, 3), "delay_ms": self.rng.choice([0, 0, 10])}
        return node

    def link(self, edges: list[Object], source: Object, target: Object) -> None:
        edge: Object = {"source_node_id": source["id"], "target_node_id": target["id"]}
        if any((e["source_node_id"], e["target_node_id"]) == tuple(edge.values()) for e in edges):
            return
        if self.chance(0.2):
            edge["dependency"] = self.rng.choice(["on_failure", "on_completion", "on_success"])
        if self.chance(0.12):
            conditions = ["true", "false", *(f"input.{flag}" for flag in FLAGS)]
            if source["type"] in ("job", "workflow") and "for_each" not in source:
                conditions += [f'nodes["{source["id"]}"].output.ok'] * 3
            edge["condition"] = self.rng.choice(conditions)
        edges.append(edge)

    def finish(self, nodes: list[Object], edges: list[Object]) -> None:
        """Paths of conditions; a `run_if` where no edge has a dependency of its own."""
        for node in nodes:
            outgoing = [edge["target_node_id"] for edge in edges if edge["source_node_id"] == node["id"]]
            incoming = [edge for edge in edges if edge["target_node_id"] == node["id"]]
            if node["type"] == "condition":
                del node["is_inner"]
                paths: dict[bool, list[str]] = {True: [], False: []}
                for target in outgoing:
                    paths[self.chance(0.5)].append(target)
                node |= {"true_path": paths[True], "false_path": paths[False]}
            has_dependency = any(edge.get("dependency", "on_success") != "on_success" for edge in incoming)
            if node["type"] != "merge" and self.chance(0.3) and not has_dependency:
                node["run_if"] = self.rng.choice(RULES if incoming else ("all_done", "none_failed"))
