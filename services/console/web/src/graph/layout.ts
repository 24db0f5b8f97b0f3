/* Where nodes stand, from left to right: Sugiyama's layers, as dagre does them. */
import dagre from "@dagrejs/dagre";

export const NODE_WIDTH = 190;
export const NODE_HEIGHT = 58;
/** Between neighbours of a column. */
const APART = 26;
/** From here on fewer crossings are not worth the time: half of a second for 1,000 nodes instead of a whole one. */
const LARGE_FROM = 400;

export interface Placed {
  id: string;
  x: number;
  y: number;
}

export interface Shape {
  nodes: readonly { id: string; width?: number; height?: number }[];
  edges: readonly { source: string; target: string }[];
}

/** Left upper corners, in pixels. Edges to nodes that are not there are passed over. */
export function layOut({ nodes, edges }: Shape): Placed[] {
  const isLarge = nodes.length > LARGE_FROM;
  const graph = new dagre.graphlib.Graph();
  const known = new Set(nodes.map(({ id }) => id));
  graph.setGraph({
    rankdir: "LR",
    nodesep: APART,
    ranksep: 70,
    ranker: isLarge ? "longest-path" : "network-simplex",
  });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const { id, width = NODE_WIDTH, height = NODE_HEIGHT } of nodes) graph.setNode(id, { width, height });
  for (const { source, target } of edges) {
    if (known.has(source) && known.has(target) && source !== target) graph.setEdge(source, target);
  }
  dagre.layout(graph, { disableOptimalOrderHeuristic: isLarge });
  const placed = nodes.map(({ id, width = NODE_WIDTH, height = NODE_HEIGHT }) => {
    const at = graph.node(id) as { x: number; y: number };
    return { id, x: Math.round(at.x - width / 2), y: Math.round(at.y - height / 2) };
  });
  return isLarge ? stacked(placed) : placed;
}

/** Each column close together and in the middle: of large graphs a slope would remain else, too long to be seen. */
function stacked(placed: Placed[]): Placed[] {
  const columns = new Map<number, Placed[]>();
  for (const one of placed) columns.set(one.x, [...(columns.get(one.x) ?? []), one]);
  const most = Math.max(...[...columns.values()].map(({ length }) => length));
  const step = NODE_HEIGHT + APART;
  for (const column of columns.values()) {
    column.sort((one, other) => one.y - other.y);
    column.forEach((one, index) => (one.y = Math.round((index + (most - column.length) / 2) * step)));
  }
  return placed;
}
