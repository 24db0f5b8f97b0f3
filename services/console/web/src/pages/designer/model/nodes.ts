/* What can be done with the nodes of a graph. Each gives a new definition and leaves the old one as it was. */
import { faultOfId as faultOfShape } from "../../../definition/ids";
import {
  fieldOf,
  textsOf,
  withField,
  withKey,
  type Definition,
  type Graph,
  type NodeDef,
  type Point,
} from "./definition";
import { atScope, bodyOf, branchesOf, everyNode, graphAt, type Scope } from "./graphs";
import { renamed, renamedIn, type Renaming } from "./references";
import { unusedId } from "./slugs";
import { START_FIELDS } from "./starting";

export function takenIds(definition: Definition): Set<string> {
  return new Set([...everyNode(definition.nodes)].map(({ id }) => id));
}

/** A new node of a type, with what it cannot do without; and the id that it got. */
export function addNode(
  definition: Definition,
  scope: Scope,
  type: string,
  position: Point,
): { definition: Definition; id: string } {
  const id = unusedId(type, takenIds(definition));
  const node: NodeDef = {
    id,
    type,
    ...START_FIELDS[type]?.(unusedId(`${id}-step`, takenIds(definition))),
    position,
  };
  return { definition: addAll(definition, scope, { nodes: [node], edges: [] }), id };
}

function addAll(definition: Definition, scope: Scope, graph: Graph): Definition {
  return atScope(definition, scope, ({ nodes, edges }) => ({
    nodes: [...nodes, ...graph.nodes],
    edges: graph.edges.length === 0 ? edges : [...edges, ...graph.edges],
  }));
}

/** Without the nodes, the edges at them, and what names them as path or branch. */
export function removeNodes(definition: Definition, scope: Scope, ids: readonly string[]): Definition {
  const gone = new Set(ids);
  return atScope(definition, scope, ({ nodes, edges }) => ({
    nodes: nodes.filter(({ id }) => !gone.has(id)).map((node) => withoutTargets(node, gone)),
    edges: edges.filter(({ source_node_id: from, target_node_id: to }) => !gone.has(from) && !gone.has(to)),
  }));
}

/** A condition or a parallel that no longer leads to some nodes. */
export function withoutTargets(node: NodeDef, gone: ReadonlySet<string>): NodeDef {
  if (node.type === "parallel") {
    const branches = branchesOf(node);
    const kept = branches.filter(({ target_node_id: target }) => !gone.has(target));
    return kept.length === branches.length ? node : withField(node, "branches", kept);
  }
  if (node.type !== "condition") return node;
  return (["true_path", "false_path"] as const).reduce((changed, path) => {
    const targets = textsOf(fieldOf(changed, path));
    const kept = targets.filter((target) => !gone.has(target));
    return kept.length === targets.length ? changed : withField(changed, path, pathOf(kept));
  }, node);
}

/** A path's targets, as short as they can be written. */
export function pathOf(targets: readonly string[]): string | string[] | undefined {
  return targets.length === 0 ? undefined : targets.length === 1 ? targets[0] : [...targets];
}

/** Why a node cannot be called so, or null. */
export function faultOfId(definition: Definition, from: string, to: string): string | null {
  const fault = faultOfShape(to);
  if (fault !== null) return fault;
  if (to !== from && takenIds(definition).has(to))
    return `Another node is called ${to} already: choose another id.`;
  return null;
}

/** The node has another id, and whatever names it names it so. */
export function renameNode(definition: Definition, from: string, to: string): Definition {
  if (from === to || faultOfId(definition, from, to) !== null) return definition;
  const ids = new Map([[from, to]]);
  const { nodes, edges } = renamed({ nodes: definition.nodes, edges: definition.edges ?? [] }, ids);
  const output = renamedIn(definition["output_mapping"], "output_mapping", ids);
  const whole = { ...definition, nodes, ...(definition.edges === undefined ? {} : { edges }) };
  return output === undefined ? whole : { ...whole, output_mapping: output };
}

/** Nodes at other places; positions are whole pixels. */
export function moveNodes(
  definition: Definition,
  scope: Scope,
  places: ReadonlyMap<string, Point>,
): Definition {
  return atScope(definition, scope, ({ nodes, edges }) => ({
    nodes: nodes.map((node) => {
      const place = places.get(node.id);
      return place === undefined
        ? node
        : { ...node, position: { x: Math.round(place.x), y: Math.round(place.y) } };
    }),
    edges,
  }));
}

/** Without any places: where everything stands is left to the layout. */
export function unplaceNodes(definition: Definition, scope: Scope): Definition {
  return atScope(definition, scope, ({ nodes, edges }) => ({
    nodes: nodes.map((node) => withKey(node, "position", undefined)),
    edges,
  }));
}

export function changeNode(
  definition: Definition,
  scope: Scope,
  nodeId: string,
  change: (node: NodeDef) => NodeDef,
): Definition {
  return atScope(definition, scope, ({ nodes, edges }) => ({
    nodes: nodes.map((node) => (node.id === nodeId ? change(node) : node)),
    edges,
  }));
}

/** Some nodes of a graph and the edges between them, to be put elsewhere. */
export function copied(definition: Definition, scope: Scope, ids: readonly string[]): Graph {
  const graph = graphAt(definition, scope) ?? { nodes: [], edges: [] };
  const wanted = new Set(ids);
  return {
    nodes: graph.nodes.filter(({ id }) => wanted.has(id)),
    edges: graph.edges.filter(
      ({ source_node_id: from, target_node_id: to }) => wanted.has(from) && wanted.has(to),
    ),
  };
}

/** What was copied, under ids that nobody has, beside where it came from; and those ids. */
export function paste(
  definition: Definition,
  scope: Scope,
  graph: Graph,
  by: Point,
): { definition: Definition; ids: string[] } {
  const ids = freshIds(graph, takenIds(definition));
  const { nodes, edges } = renamed(graph, ids);
  const known = new Set([...(graphAt(definition, scope)?.nodes ?? []), ...nodes].map(({ id }) => id));
  const moved = nodes.map((node) => movedBy(withoutUnknown(node, known), by));
  return {
    definition: addAll(definition, scope, { nodes: moved, edges }),
    ids: moved.map(({ id }) => id),
  };
}

function freshIds(graph: Graph, taken: Set<string>): Renaming {
  const ids = new Map<string, string>();
  for (const { id } of everyNode(graph.nodes)) {
    const fresh = unusedId(id, taken);
    taken.add(fresh);
    if (fresh !== id) ids.set(id, fresh);
  }
  return ids;
}

/** Paths and branches to nodes that were not copied along, and are not here, are left out. */
function withoutUnknown(node: NodeDef, known: ReadonlySet<string>): NodeDef {
  const named =
    node.type === "parallel"
      ? branchesOf(node).map(({ target_node_id: id }) => id)
      : [...textsOf(fieldOf(node, "true_path")), ...textsOf(fieldOf(node, "false_path"))];
  return withoutTargets(node, new Set(named.filter((id) => !known.has(id))));
}

function movedBy(node: NodeDef, by: Point): NodeDef {
  const place = pointOf(node["position"]);
  return place === null ? node : { ...node, position: { x: place.x + by.x, y: place.y + by.y } };
}

export function pointOf(value: unknown): Point | null {
  const point = value as Partial<Point> | null | undefined;
  return typeof point?.x === "number" && typeof point.y === "number" ? { x: point.x, y: point.y } : null;
}

/** How many nodes there are, bodies included. */
export function countNodes(graph: Graph): number {
  return graph.nodes.reduce(
    (sum, node) => sum + 1 + (node.type === "loop" ? countNodes(bodyOf(node)) : 0),
    0,
  );
}
