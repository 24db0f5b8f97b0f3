import { describe, expect, it } from "vitest";
import { drawnOf } from "./ofDefinition";

const edges = (definition: Record<string, unknown>) => drawnOf(definition).edges.map(({ id }) => id);

describe("the graph that a definition means", () => {
  it("has the edges as written", () => {
    const nodes = [
      { id: "a", type: "job" },
      { id: "b", type: "job", name: "Second" },
    ];
    const drawn = drawnOf({ nodes, edges: [{ source_node_id: "a", target_node_id: "b" }] });
    expect(drawn.nodes.map(({ data }) => data.name)).toEqual(["a", "Second"]);
    expect(drawn.edges).toEqual([{ id: "a>b", source: "a", target: "b" }]);
  });

  it("has those that paths and branches imply, each once", () => {
    const nodes = [
      { id: "c", type: "condition", config: { true_path: ["x"], false_path: "y" } },
      { id: "p", type: "parallel", branches: [{ name: "one", target_node_id: "x" }] },
      { id: "x", type: "job" },
      { id: "y", type: "job" },
    ];
    expect(edges({ nodes, edges: [{ source_node_id: "c", target_node_id: "x" }] })).toEqual([
      "c>x",
      "c>y",
      "p>x",
    ]);
  });

  it("is a chain where nodes only have an order", () => {
    const nodes = [
      { id: "b", type: "job", order_index: 2 },
      { id: "a", type: "job", order_index: 1 },
    ];
    expect(edges({ nodes })).toEqual(["a>b"]);
  });

  it("draws what it can of something odd", () => {
    expect(drawnOf({ nodes: "none" })).toEqual({ nodes: [], edges: [] });
  });
});
