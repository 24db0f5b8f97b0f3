/* The graphs of a definition: its own, and those in the bodies of loops. A scope names the loops on the way in. */
import {
  fieldOf,
  fieldsOf,
  isFields,
  listOf,
  textOf,
  textsOf,
  withField,
  withKey,
  type Definition,
  type EdgeDef,
  type Graph,
  type NodeDef,
} from "./definition";

export type Scope = readonly string[];

const NO_EDGES: EdgeDef[] = [];

/** The graph at a scope, or null where a loop on the way is not there (any more). */
export function graphAt(definition: Definition, scope: Scope): Graph | null {
  let graph: Graph = { nodes: definition.nodes, edges: definition.edges ?? NO_EDGES };
  for (const id of scope) {
    const loop = graph.nodes.find((node) => node.id === id);
    if (loop?.type !== "loop") return null;
    graph = bodyOf(loop);
  }
  return graph;
}

export function bodyOf(loop: NodeDef): Graph {
  const body = fieldsOf(fieldOf(loop, "body"));
  return {
    nodes: listOf(body["nodes"]) as NodeDef[],
    edges: (body["edges"] ?? NO_EDGES) as EdgeDef[],
  };
}

/** The definition with the graph at a scope changed. */
export function atScope(definition: Definition, scope: Scope, change: (graph: Graph) => Graph): Definition {
  const [first, ...rest] = scope;
  if (first === undefined) {
    const { nodes, edges } = change({ nodes: definition.nodes, edges: definition.edges ?? NO_EDGES });
    return edges === (definition.edges ?? NO_EDGES)
      ? { ...definition, nodes }
      : { ...definition, nodes, edges };
  }
  return {
    ...definition,
    nodes: definition.nodes.map((node) => (node.id === first ? inLoop(node, rest, change) : node)),
  };
}

function inLoop(loop: NodeDef, scope: Scope, change: (graph: Graph) => Graph): NodeDef {
  const body = fieldsOf(fieldOf(loop, "body"));
  const { nodes, edges } = atScope({ ...bodyOf(loop) }, scope, change);
  const changed = withKey({ ...body, nodes }, "edges", edges === NO_EDGES ? undefined : edges);
  return withField(loop, "body", changed);
}

export function* everyNode(nodes: readonly NodeDef[]): Generator<NodeDef> {
  for (const node of nodes) {
    yield node;
    if (node.type === "loop") yield* everyNode(bodyOf(node).nodes);
  }
}

/** Where a node is, whichever body it stands in. */
export function scopeOf(definition: Definition, nodeId: string): Scope | null {
  const search = (nodes: readonly NodeDef[], scope: Scope): Scope | null => {
    if (nodes.some(({ id }) => id === nodeId)) return scope;
    for (const node of nodes) {
      if (node.type !== "loop") continue;
      const found = search(bodyOf(node).nodes, [...scope, node.id]);
      if (found !== null) return found;
    }
    return null;
  };
  return search(definition.nodes, []);
}

/** An edge to be drawn: written in `edges` (`index`), or implied by a node's paths, branches or order. */
export interface Link {
  key: string;
  source: string;
  target: string;
  index: number | null;
  /** Implied ones: which of the node's ways out. */
  port: "true" | "false" | "branch" | "order" | null;
  edge: EdgeDef | null;
  label: string;
}

const known = new WeakMap<readonly NodeDef[], { edges: readonly EdgeDef[]; links: readonly Link[] }>();

/** All edges of a graph, as written and as implied; the keys stay as long as what they stand for. */
export function linksOf(graph: Graph): readonly Link[] {
  const kept = known.get(graph.nodes);
  if (kept !== undefined && kept.edges === graph.edges) return kept.links;
  const links = worked(graph);
  known.set(graph.nodes, { edges: graph.edges, links });
  return links;
}

function worked({ nodes, edges }: Graph): Link[] {
  const counts = new Map<string, number>();
  const key = (source: string, target: string, port: string) => {
    const plain = `${port}:${source}>${target}`;
    const seen = counts.get(plain) ?? 0;
    counts.set(plain, seen + 1);
    return seen === 0 ? plain : `${plain}#${seen}`;
  };
  const links: Link[] = edges.map((edge, index) => ({
    key: key(edge.source_node_id, edge.target_node_id, "edge"),
    source: edge.source_node_id,
    target: edge.target_node_id,
    index,
    port: null,
    edge,
    label: labelOf(edge),
  }));
  const implied = (source: string, target: string, port: NonNullable<Link["port"]>, label: string) =>
    links.push({ key: key(source, target, port), source, target, index: null, port, edge: null, label });
  if (edges.length === 0) for (const [a, b] of chainOf(nodes)) implied(a, b, "order", "");
  const written = new Map<string, Link>();
  for (const link of links) written.set(`${link.source}>${link.target}`, link);
  for (const node of nodes) {
    for (const { target, port, label } of waysOut(node)) {
      const there = written.get(`${node.id}>${target}`);
      if (there === undefined) implied(node.id, target, port, label);
      else {
        there.label = [label, there.label].filter(Boolean).join(" · ");
        if (port !== "branch") there.port = port;
      }
    }
  }
  return links;
}

/** The chain that `order_index` implies where no edges are written. */
function chainOf(nodes: readonly NodeDef[]): [string, string][] {
  const isChain = nodes.length > 1 && nodes.every((node) => typeof node["order_index"] === "number");
  if (!isChain) return [];
  const sorted = [...nodes].sort((a, b) => (a["order_index"] as number) - (b["order_index"] as number));
  return sorted.slice(1).map((node, index) => [sorted[index]?.id ?? "", node.id]);
}

/** What a condition's paths and a parallel's branches lead to. */
export function waysOut(
  node: NodeDef,
): { target: string; port: "true" | "false" | "branch"; label: string }[] {
  if (node.type === "condition") {
    return (["true", "false"] as const).flatMap((port) =>
      textsOf(fieldOf(node, `${port}_path`)).map((target) => ({ target, port, label: port })),
    );
  }
  if (node.type !== "parallel") return [];
  return branchesOf(node).map(({ target_node_id: target, name }) => ({
    target,
    port: "branch" as const,
    label: textOf(name),
  }));
}

export interface BranchDef extends Record<string, unknown> {
  target_node_id: string;
}

export function branchesOf(node: NodeDef): BranchDef[] {
  return listOf(fieldOf(node, "branches")).filter(
    (branch): branch is BranchDef => isFields(branch) && typeof branch["target_node_id"] === "string",
  );
}

function labelOf(edge: EdgeDef): string {
  const dependency = textOf(edge["dependency"]);
  const words = [
    dependency === "" || dependency === "on_success" ? "" : dependency.replaceAll("_", " "),
    textOf(edge["condition"]) === "" ? "" : `if ${textOf(edge["condition"])}`,
    portsOf(edge),
  ];
  const label = words.filter(Boolean).join(" · ");
  return label.length > LABEL_CHARACTERS_MAX ? `${label.slice(0, LABEL_CHARACTERS_MAX - 1)}…` : label;
}

const LABEL_CHARACTERS_MAX = 40;

function portsOf(edge: EdgeDef): string {
  const [out, into] = [textOf(edge["source_output"]), textOf(edge["target_input"])];
  return out === "" && into === "" ? "" : `${out || "output"} → ${into || "input"}`;
}
