/* The graph of a workflow version, with the states of a run on it where one is chosen. */
import type { Schemas } from "../../api/client";
import { fieldsOf } from "../../api/narrow";
import { standingOf } from "../../graph/standing";
import type { Drawn } from "../../graph/WorkflowGraph";

export function drawnGraph(graph: Schemas["GraphView"], nodeRuns: Schemas["NodeRun"][] | null): Drawn {
  const runs = new Map((nodeRuns ?? []).map((run) => [run.node_id, run]));
  const inBodies = new Set(
    graph.nodes.filter(({ loop_id: loop }) => (loop ?? null) !== null).map(({ node_id }) => node_id),
  );
  const nodes = graph.nodes.filter(({ node_id }) => !inBodies.has(node_id));
  const known = new Set(nodes.map(({ node_id }) => node_id));
  return {
    nodes: nodes.map(({ node_id, type, name, position, is_map }) => {
      const run = runs.get(node_id);
      return {
        id: node_id,
        position: placeOf(position),
        data: {
          type,
          name: name === "" ? node_id : name,
          isMap: is_map,
          ...(run === undefined ? {} : standingOf(run)),
        },
      };
    }),
    edges: nodes.flatMap(({ node_id, dependencies }) =>
      dependencies
        .filter((from) => known.has(from))
        .map((from) => ({
          id: `${from}>${node_id}`,
          source: from,
          target: node_id,
          ...labelled(graph, from, node_id),
        })),
    ),
  };
}

function placeOf(position: Schemas["GraphNode"]["position"]): { x: number; y: number } | null {
  const { x, y } = fieldsOf(position);
  return typeof x === "number" && typeof y === "number" ? { x, y } : null;
}

/** What an edge asks for, where that is not the usual. */
function labelled(graph: Schemas["GraphView"], from: string, to: string): { label?: string } {
  const edge = graph.edges.find((one) => one.source_node_id === from && one.target_node_id === to);
  const said = [
    edge?.dependency === "on_failure"
      ? "if it fails"
      : edge?.dependency === "on_completion"
        ? "in any case"
        : null,
    edge?.condition == null ? null : `if ${edge.condition}`,
  ].filter((part) => part !== null);
  return said.length === 0 ? {} : { label: said.join(", ") };
}
