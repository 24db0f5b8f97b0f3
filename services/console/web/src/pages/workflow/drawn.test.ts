import { describe, expect, it } from "vitest";
import type { Schemas } from "../../api/client";
import { drawnGraph } from "./drawn";

const node = (node_id: string, dependencies: string[] = [], fields: Partial<Schemas["GraphNode"]> = {}) => ({
  ...{
    node_id,
    type: "job",
    name: "",
    dependencies,
    dependents: [],
    level: 0,
    position: null,
    loop_id: null,
    is_map: false,
  },
  ...fields,
});
const edge = (source_node_id: string, target_node_id: string, fields: object) => ({
  ...{ source_node_id, target_node_id, id: null, source_output: null, target_input: null },
  ...{ dependency: null, condition: null },
  ...fields,
});
const graph = {
  workflow_id: "w",
  version: 1,
  bodies: {},
  nodes: [
    node("a"),
    node("b", ["a"], { name: "Second" }),
    node("c", ["a", "b"]),
    node("in", ["x"], { loop_id: "b" }),
  ],
  edges: [edge("a", "b", { dependency: "on_failure" }), edge("b", "c", { condition: "input.n > 1" })],
} as unknown as Schemas["GraphView"];

describe("the graph of a workflow", () => {
  it("has its nodes, not those of its loops' bodies", () => {
    expect(drawnGraph(graph, null).nodes.map(({ data }) => data.name)).toEqual(["a", "Second", "c"]);
  });
  it("has them too where an answer leaves out what has no value", () => {
    const bare = graph.nodes.slice(0, 3).map((node) => {
      const rest = { ...node };
      delete rest.loop_id;
      delete rest.position;
      return rest;
    });
    const drawn = drawnGraph({ ...graph, nodes: bare, edges: [] }, null);
    expect(drawn.nodes.map(({ id, position }) => [id, position])).toEqual([
      ["a", null],
      ["b", null],
      ["c", null],
    ]);
  });
  it("says at an edge what it asks for beyond success", () => {
    const labels = drawnGraph(graph, null).edges.map(({ id, label }) => [id, label]);
    expect(labels).toEqual([
      ["a>b", "if it fails"],
      ["a>c", undefined],
      ["b>c", "if input.n > 1"],
    ]);
  });
  it("shows how the nodes of a run stand", () => {
    const runs = [{ node_id: "b", status: "failed", progress: null }] as unknown as Schemas["NodeRun"][];
    const drawn = drawnGraph(graph, runs);
    expect(drawn.nodes.map(({ data }) => data.status)).toEqual([undefined, "failed", undefined]);
  });
});
