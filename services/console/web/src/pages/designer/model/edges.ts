/* What can be done with the edges of a graph, written ones and those that paths and branches imply. */
import { idOf } from "../../../definition/ids";
import {
  fieldOf,
  textsOf,
  withField,
  withKey,
  type Definition,
  type EdgeDef,
  type NodeDef,
} from "./definition";
import { atScope, branchesOf, graphAt, linksOf, type Link, type Scope } from "./graphs";
import { pathOf, withoutTargets } from "./nodes";

/** From one node's handle to another's. Handles are `true`, `false`, `out:<port>`, `in:<port>`, or none. */
export interface Connection {
  source: string;
  target: string;
  sourceHandle?: string | null;
  targetHandle?: string | null;
}

/** Why the two cannot be connected, or null. */
export function faultOfConnection(
  definition: Definition,
  scope: Scope,
  { source, target, ...handles }: Connection,
): string | null {
  if (source === target) return "A node cannot wait for itself.";
  const graph = graphAt(definition, scope);
  if (graph === null) return "The loop is not there any more.";
  const [out, into] = [portOf(handles.sourceHandle, "out:"), portOf(handles.targetHandle, "in:")];
  const isThere = linksOf(graph).some(
    (link) =>
      link.source === source &&
      link.target === target &&
      (link.edge?.["source_output"] ?? null) === out &&
      (link.edge?.["target_input"] ?? null) === into &&
      (!isPath(handles.sourceHandle) || link.port === handles.sourceHandle),
  );
  return isThere ? "These are connected already." : null;
}

export function connect(definition: Definition, scope: Scope, connection: Connection): Definition {
  if (faultOfConnection(definition, scope, connection) !== null) return definition;
  const { source, target, sourceHandle, targetHandle } = connection;
  return atScope(definition, scope, ({ nodes, edges }) => {
    const from = nodes.find(({ id }) => id === source);
    const out = portOf(sourceHandle, "out:");
    const into = portOf(targetHandle, "in:");
    const leading =
      from === undefined || out !== null || into !== null ? null : leadingTo(from, target, sourceHandle);
    if (leading !== null) return { nodes: nodes.map((node) => (node.id === source ? leading : node)), edges };
    const edge: EdgeDef = {
      source_node_id: source,
      target_node_id: target,
      ...(out === null ? {} : { source_output: out }),
      ...(into === null ? {} : { target_input: into }),
    };
    return {
      nodes: nodes.map((node) => (node.id === target ? joining(node, from) : node)),
      edges: [...edges, edge],
    };
  });
}

/** A condition's path and a parallel's branch are its own fields: the edge is implied. */
function leadingTo(from: NodeDef, target: string, handle: string | null | undefined): NodeDef | null {
  if (isPath(handle)) {
    const other = handle === "true" ? "false_path" : "true_path";
    const alone = withField(from, other, pathOf(textsOf(fieldOf(from, other)).filter((id) => id !== target)));
    const targets = textsOf(fieldOf(alone, `${handle}_path`)).filter((id) => id !== target);
    return withField(alone, `${handle}_path`, pathOf([...targets, target]));
  }
  if (from.type !== "parallel") return null;
  const branches = branchesOf(from).filter(({ target_node_id: id }) => id !== target);
  return withField(from, "branches", [...branches, { name: idOf(target), target_node_id: target }]);
}

/** The first edge into a merge tells it nothing; but one drawn from a parallel itself says which it joins. */
function joining(node: NodeDef, from: NodeDef | undefined): NodeDef {
  const isWanted =
    node.type === "merge" && from?.type === "parallel" && fieldOf(node, "parallel_node_id") === "";
  return isWanted ? withField(node, "parallel_node_id", from.id) : node;
}

function isPath(handle: string | null | undefined): handle is "true" | "false" {
  return handle === "true" || handle === "false";
}

function portOf(handle: string | null | undefined, prefix: string): string | null {
  return handle?.startsWith(prefix) === true ? handle.slice(prefix.length) : null;
}

export function linkAt(definition: Definition, scope: Scope, key: string): Link | null {
  const graph = graphAt(definition, scope);
  return graph === null ? null : (linksOf(graph).find((link) => link.key === key) ?? null);
}

/** Without these edges: those that a path or a branch implies vanish from it. */
export function removeLinks(definition: Definition, scope: Scope, keys: readonly string[]): Definition {
  const wanted = new Set(keys);
  return atScope(definition, scope, (graph) => {
    const gone = linksOf(graph).filter(({ key }) => wanted.has(key));
    const written = new Set(gone.map(({ index }) => index));
    const targets = new Map<string, Set<string>>();
    for (const { source, target, port } of gone) {
      if (port === null || port === "order") continue;
      targets.set(source, (targets.get(source) ?? new Set()).add(target));
    }
    const unchained = gone.some(({ port }) => port === "order");
    const edges = graph.edges.filter((_edge, index) => !written.has(index));
    return {
      nodes: graph.nodes.map((node) => {
        const lost = targets.get(node.id);
        const kept = lost === undefined ? node : withoutTargets(node, lost);
        return unchained ? withKey(kept, "order_index", undefined) : kept;
      }),
      edges: unchained ? chainWithout(graph, wanted) : edges,
    };
  });
}

/** A chain by `order_index` with a link less is written as edges. */
function chainWithout(graph: Parameters<typeof linksOf>[0], gone: ReadonlySet<string>): EdgeDef[] {
  return linksOf(graph)
    .filter(({ key, port }) => port === "order" && !gone.has(key))
    .map(({ source, target }) => ({ source_node_id: source, target_node_id: target }));
}

/** An edge's own field; an implied edge is written first. */
export function setEdgeField(
  definition: Definition,
  scope: Scope,
  key: string,
  field: string,
  value: unknown,
): Definition {
  return atScope(definition, scope, (graph) => {
    const link = linksOf(graph).find((one) => one.key === key);
    if (link === undefined || link.port === "order") return graph;
    if (link.index === null) {
      if (value === undefined) return graph;
      const edge = { source_node_id: link.source, target_node_id: link.target, [field]: value };
      return { ...graph, edges: [...graph.edges, edge] };
    }
    return {
      ...graph,
      edges: graph.edges.map((edge, index) => (index === link.index ? withKey(edge, field, value) : edge)),
    };
  });
}
