/* Where a new node goes, and what it is connected to. */
import { fieldOf, textsOf, type Definition, type Graph, type Point } from "./definition";
import { connect } from "./edges";
import { graphAt, type Scope } from "./graphs";
import { addNode, moveNodes } from "./nodes";

const GAP_X = 260;
const GAP_Y = 84;
const NEAR = 60;

/** All that is placed by the layout only is placed for good, so that nothing moves when something is added. */
export function settled(
  definition: Definition,
  scope: Scope,
  places: ReadonlyMap<string, Point>,
): Definition {
  const graph = graphAt(definition, scope);
  const loose = (graph?.nodes ?? []).filter((node) => node["position"] === undefined);
  const wanted = new Map(
    loose.flatMap(({ id }): [string, Point][] => {
      const place = places.get(id);
      return place === undefined ? [] : [[id, { x: place.x, y: place.y }]];
    }),
  );
  return wanted.size === 0 ? definition : moveNodes(definition, scope, wanted);
}

/** A new node, to the right of the one that is selected and connected to it; or at a given place. */
export function added(
  definition: Definition,
  scope: Scope,
  type: string,
  places: ReadonlyMap<string, Point>,
  after: string | null,
  at: Point | null,
): { definition: Definition; id: string } {
  const placed = settled(definition, scope, places);
  const graph = graphAt(placed, scope) ?? { nodes: [], edges: [] };
  const point = at ?? freePlace(places, after);
  const got = addNode(placed, scope, type, point);
  if (at !== null || after === null || type === "start") return got;
  return { id: got.id, definition: connect(got.definition, scope, wayFrom(graph, after, got.id)) };
}

/** Of a condition the path that leads nowhere yet. */
function wayFrom({ nodes }: Graph, source: string, target: string) {
  const node = nodes.find(({ id }) => id === source);
  if (node?.type !== "condition") return { source, target };
  const isFree = textsOf(fieldOf(node, "true_path")).length === 0;
  return { source, target, sourceHandle: isFree ? "true" : "false" };
}

function freePlace(places: ReadonlyMap<string, Point>, after: string | null): Point {
  const all = [...places.values()];
  const from = after === null ? undefined : places.get(after);
  const right = all.reduce<Point | undefined>(
    (most, one) => (most === undefined || one.x > most.x ? one : most),
    from,
  );
  const base = from ?? right;
  const point = base === undefined ? { x: 0, y: 0 } : { x: base.x + GAP_X, y: base.y };
  while (all.some(({ x, y }) => Math.abs(x - point.x) < NEAR * 3 && Math.abs(y - point.y) < NEAR))
    point.y += GAP_Y;
  return point;
}
