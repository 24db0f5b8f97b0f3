/* A definition as its author wrote it: what the canvas must know has types, all else is kept as it is. */

import { fieldsOf, listOf, type Fields } from "../../../api/narrow";

export { fieldsOf, listOf, type Fields };

export interface NodeDef extends Fields {
  id: string;
  type: string;
}

export interface EdgeDef extends Fields {
  source_node_id: string;
  target_node_id: string;
}

export interface TriggerDef extends Fields {
  id: string;
  type: string;
}

/** The nodes and edges of a workflow, or of a loop's body. */
export interface Graph {
  nodes: NodeDef[];
  edges: EdgeDef[];
}

export interface Definition extends Fields {
  nodes: NodeDef[];
  edges?: EdgeDef[];
  triggers?: TriggerDef[];
}

export interface Point {
  x: number;
  y: number;
}

export const NEW: Definition = { id: "new-workflow", name: "New workflow", nodes: [], edges: [] };

/** Fields that belong to every node, whatever its type: they stand beside `config`, never in it. */
export const COMMON_FIELDS: ReadonlySet<string> = new Set([
  "id",
  "type",
  "name",
  "description",
  "position",
  "order_index",
  "inputs",
  "outputs",
  "input_mapping",
  "output_mapping",
  "run_if",
  "retry_policy",
  "timeout_ms",
  "allow_failure",
  "for_each",
  "max_parallel",
  "cache_key",
  "pool",
  "resources",
  "circuit_breaker",
]);

export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** A text or a list of texts, as a list. */
export function textsOf(value: unknown): string[] {
  if (typeof value === "string") return value === "" ? [] : [value];
  return listOf(value).filter((one): one is string => typeof one === "string");
}

/** What a node calls itself: its name, or its id. */
export function nameOf(node: NodeDef): string {
  return textOf(node["name"]) || node.id;
}

/** A node's own field, whether it stands in `config` or beside it. */
export function fieldOf(node: Fields, name: string): unknown {
  return node[name] ?? fieldsOf(node["config"])[name];
}

/** With a field set where it stood, or where its kind belongs; `undefined` takes it away. */
export function withField<T extends Fields>(node: T, name: string, value: unknown): T {
  const config = node["config"];
  const isInside =
    isFields(config) && node[name] === undefined && (name in config || !COMMON_FIELDS.has(name));
  if (isInside) return { ...node, config: withKey(config, name, value) };
  return withKey(node, name, value);
}

export function withKey<T extends Fields>(fields: T, name: string, value: unknown): T {
  if (value !== undefined) return { ...fields, [name]: value };
  return Object.fromEntries(Object.entries(fields).filter(([key]) => key !== name)) as T;
}

export interface ShapeFault {
  fault: string;
  /** Where: `$.nodes[0]`. */
  path: string;
}

/** What a text means as a definition, or why the canvas cannot show it. */
export function asDefinition(value: unknown): Definition | ShapeFault {
  if (!isFields(value)) return { fault: "a workflow is an object: start with id, name and nodes", path: "$" };
  const nodes = value["nodes"] ?? [];
  const fault = faultOfGraph(nodes, value["edges"], "$") ?? faultOfTriggers(value["triggers"]);
  return fault ?? { ...value, nodes: nodes as NodeDef[] };
}

export function isFault(got: Definition | ShapeFault): got is ShapeFault {
  return typeof got["fault"] === "string" && !("nodes" in got);
}

function faultOfGraph(nodes: unknown, edges: unknown, path: string): ShapeFault | null {
  if (!Array.isArray(nodes)) {
    return {
      fault: "`nodes` is no list: make it one, each item with an id and a type",
      path: `${path}.nodes`,
    };
  }
  for (const [index, node] of nodes.entries()) {
    const at = `${path}.nodes[${index}]`;
    if (!isFields(node) || typeof node["id"] !== "string" || typeof node["type"] !== "string") {
      const fault = `node ${index + 1} needs an id and a type: without them the canvas cannot show it`;
      return { fault, path: at };
    }
    const inner = faultOfBody(node, at);
    if (inner !== null) return inner;
  }
  return faultOfItems(edges, `${path}.edges`, "edge", ["source_node_id", "target_node_id"]);
}

function faultOfBody(node: Fields, at: string): ShapeFault | null {
  const body = fieldOf(node, "body");
  if (body === undefined || body === null) return null;
  const path = node["body"] === undefined ? `${at}.config.body` : `${at}.body`;
  if (!isFields(body)) return { fault: "the body of a loop is an object with `nodes`, a list", path };
  return faultOfGraph(body["nodes"], body["edges"], path);
}

function faultOfTriggers(triggers: unknown): ShapeFault | null {
  return faultOfItems(triggers, "$.triggers", "trigger", ["id", "type"]);
}

function faultOfItems(
  items: unknown,
  path: string,
  what: string,
  [first, second]: [string, string],
): ShapeFault | null {
  if (items === undefined || items === null) return null;
  if (!Array.isArray(items)) return { fault: `\`${what}s\` is no list: make it one`, path };
  const wrong = items.findIndex(
    (item: unknown) => !isFields(item) || typeof item[first] !== "string" || typeof item[second] !== "string",
  );
  if (wrong < 0) return null;
  return { fault: `${what} ${wrong + 1} needs \`${first}\` and \`${second}\``, path: `${path}[${wrong}]` };
}
