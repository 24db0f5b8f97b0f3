/* An edge that skips over nodes which stand in its way leads around them, so that it is not taken for theirs. */
import { NODE_HEIGHT, NODE_WIDTH } from "./layout";

interface Point {
  x: number;
  y: number;
}

/** The way around: straight on at `y` from `from` to `to`. */
export interface Detour {
  y: number;
  from: number;
  to: number;
}

/** Beside so many edges a detour more is not seen, and looking for it takes time. */
const EDGES_MAX = 300;
const GAP = 16;
const HALF = NODE_HEIGHT / 2;
/** For the bends at both ends of the way around. */
const BEND = 30;

/** By the place of the edge in the list: of those that would run over nodes, the way around these. */
export function detoursOf(
  edges: readonly { source: string; target: string }[],
  places: ReadonlyMap<string, Point>,
): Map<number, Detour> {
  const found = new Map<number, Detour>();
  if (edges.length > EDGES_MAX) return found;
  edges.forEach(({ source, target }, index) => {
    const [begin, end] = [places.get(source), places.get(target)];
    if (begin === undefined || end === undefined || end.x - begin.x < 2 * NODE_WIDTH) return;
    const between = [...places.values()].filter(
      ({ x }) => x > begin.x + NODE_WIDTH - BEND && x + NODE_WIDTH < end.x + BEND,
    );
    const detour = around(begin, end, between);
    if (detour !== null) found.set(index, detour);
  });
  return found;
}

function around(begin: Point, end: Point, between: readonly Point[]): Detour | null {
  const inTheWay = between.filter((node) => isMet(begin, end, node));
  if (inTheWay.length === 0) return null;
  const from = Math.min(...inTheWay.map(({ x }) => x)) - BEND;
  const to = Math.max(...inTheWay.map(({ x }) => x)) + NODE_WIDTH + BEND;
  const middles = between.filter(({ x }) => x + NODE_WIDTH > from && x < to).map(({ y }) => y + HALF);
  const wanted = (begin.y + end.y) / 2 + HALF;
  const [above, below] = [free(wanted, middles, -1), free(wanted, middles, 1)];
  return { y: wanted - above <= below - wanted ? above : below, from, to };
}

/** Whether the curve from one to the other, nearly straight in its middle, crosses the node. */
function isMet(begin: Point, end: Point, node: Point): boolean {
  const share = (node.x - begin.x) / (end.x - begin.x);
  const at = begin.y + (end.y - begin.y) * share + HALF;
  return Math.abs(node.y + HALF - at) < HALF + GAP / 4;
}

/** The nearest height in one direction at which no node stands. */
function free(wanted: number, middles: readonly number[], direction: 1 | -1): number {
  const ordered = [...middles].sort((one, other) => direction * (one - other));
  return ordered.reduce(
    (y, middle) => (Math.abs(y - middle) < HALF + GAP ? middle + direction * (HALF + GAP) : y),
    wanted,
  );
}

/** As a path of SVG, from right of one node to the left of the other. */
export function pathAround(begin: Point, end: Point, { y, from, to }: Detour): string {
  const [first, last] = [(begin.x + from) / 2, (to + end.x) / 2];
  return (
    `M ${begin.x},${begin.y} C ${first},${begin.y} ${first},${y} ${from},${y}` +
    ` L ${to},${y} C ${last},${y} ${last},${end.y} ${end.x},${end.y}`
  );
}
