import { expect, test } from "vitest";
import type { Schemas } from "../../api/client";
import { drawRun, instancesOf, waitsOf, type NodeRun } from "./drawn";

function node(node_id: string): Schemas["GraphNode"] {
  const none = { dependencies: [], dependents: [], level: 0, position: null, loop_id: null, is_map: false };
  return { node_id, type: "script", name: node_id.toUpperCase(), ...none };
}
function edge(source_node_id: string, target_node_id: string): Schemas["Edge"] {
  const none = { id: null, source_output: null, target_input: null, dependency: null, condition: null };
  return { source_node_id, target_node_id, ...none };
}
function run(node_id: string, status: string, fields: Partial<NodeRun> = {}): NodeRun {
  return { node_id, status, attempt: 1, ...fields } as NodeRun;
}

const shape = { nodes: [node("a"), node("b"), node("c")], edges: [edge("a", "b"), edge("a", "c")] };

test("a node carries its state, a branch that was not taken is faint", () => {
  const drawn = drawRun(shape, [run("a", "completed"), run("b", "running"), run("c", "skipped")]);
  expect(drawn.nodes.map(({ data }) => [data.name, data.status, data.isFaint])).toEqual([
    ["A", "completed", false],
    ["B", "running", false],
    ["C", "skipped", true],
  ]);
  expect(drawn.edges.map(({ status, isFaint }) => [status, isFaint])).toEqual([
    ["running", false],
    [undefined, true],
  ]);
});

test("nodes of which nothing changed stay the same object, so that they are not drawn anew", () => {
  const first = drawRun(shape, [run("a", "completed"), run("b", "running", { progress: 0.1 })]);
  const second = drawRun(
    shape,
    [run("a", "completed"), run("b", "running", { progress: 0.2 })],
    undefined,
    first,
  );
  expect(second.nodes[0]).toBe(first.nodes[0]);
  expect(second.nodes[1]).not.toBe(first.nodes[1]);
  expect(second.nodes[1]?.data.detail).toBe("20 %");
});

test("breakpoints and the critical path are marked", () => {
  const drawn = drawRun(shape, [], { breakpoints: ["b"], critical: ["a", "b"] });
  expect(drawn.nodes.map(({ data }) => data.mark)).toEqual(["critical", "breakpoint", undefined]);
  expect(drawn.edges.map(({ isMarked }) => isMarked)).toEqual([true, false]);
});

test("instances that have not begun are idle", () => {
  expect(
    instancesOf(run("a", "running", { instances_count: 10, instance_counts: { completed: 3, running: 2 } })),
  ).toEqual({ completed: 3, running: 2, idle: 5 });
  expect(instancesOf(run("a", "running"))).toBeUndefined();
});

test("what has waited longest is said first", () => {
  const waits = waitsOf([
    run("a", "waiting", { waiting_for: { for: "timer", since: "2026-11-29T12:01:00Z" } }),
    run("b", "queued", { waiting_for: { for: "worker", since: "2026-11-29T12:00:00Z" } }),
    run("c", "running"),
  ]);
  expect(waits.map(({ node_id }) => node_id)).toEqual(["b", "a"]);
});
