/* Which names an expression can use at a place of a definition. */
import {
  fieldOf,
  fieldsOf,
  isFields,
  listOf,
  textOf,
  type Definition,
  type NodeDef,
} from "../model/definition";
import { graphAt, linksOf, type Scope } from "../model/graphs";

export interface NodeName {
  id: string;
  label: string;
  /** It has ended when the expression is looked at. */
  isBefore: boolean;
  outputs: string[];
}

export interface Names {
  inputs: string[];
  variables: { name: string; detail: string }[];
  nodes: NodeName[];
  /** Inside a map or a loop's body. */
  hasItem: boolean;
  hasPrevious: boolean;
  /** Names of secrets, where they may be used; null where not. */
  secrets: string[] | null;
  /** Further names that only this field has: `output` in an output mapping, `callback`. */
  others: string[];
}

const WITH_SECRETS: ReadonlySet<string> = new Set(["webhook", "sql", "prompt_execution"]);

export function namesFor(
  definition: Definition,
  scope: Scope,
  node: NodeDef | null,
  field: string,
  secrets: readonly string[] = [],
): Names {
  const isAfter = field.startsWith("output_mapping");
  const mayUseSecrets =
    node !== null && (WITH_SECRETS.has(node.type) || (node.type === "script" && field.startsWith("env")));
  const loops = loopsOn(definition, scope);
  return {
    inputs: inputsOf(definition),
    variables: variablesOf(definition),
    nodes: nodesSeen(definition, scope, node),
    hasItem: loops.length > 0 || fieldOf(node ?? {}, "for_each") !== undefined,
    hasPrevious: loops.some((loop) => (fieldOf(loop, "max_parallel") ?? 1) === 1),
    secrets: mayUseSecrets ? [...secrets] : null,
    others: [
      ...(isAfter && node !== null ? ["output"] : []),
      ...(waitsForCallback(node) ? ["callback"] : []),
    ],
  };
}

function waitsForCallback(node: NodeDef | null): boolean {
  return node !== null && fieldOf(node, "wait_for_callback") === true;
}

function loopsOn(definition: Definition, scope: Scope): NodeDef[] {
  return scope.flatMap((id, depth) => {
    const loop = graphAt(definition, scope.slice(0, depth))?.nodes.find((node) => node.id === id);
    return loop === undefined ? [] : [loop];
  });
}

function inputsOf(definition: Definition): string[] {
  const schema = fieldsOf(definition["input_schema"]);
  return Object.keys(fieldsOf(schema["properties"]));
}

function variablesOf(definition: Definition): Names["variables"] {
  return listOf(definition["variables"])
    .filter(isFields)
    .map((variable) => ({
      name: textOf(variable["name"]),
      detail: textOf(variable["description"]) || textOf(variable["type"]) || "string",
    }))
    .filter(({ name }) => name !== "");
}

/** Those of the graph that it stands in, and of the graphs around; what leads to it comes first. */
function nodesSeen(definition: Definition, scope: Scope, node: NodeDef | null): NodeName[] {
  const seen: NodeName[] = [];
  for (let depth = scope.length; depth >= 0; depth -= 1) {
    const graph = graphAt(definition, scope.slice(0, depth));
    if (graph === null) continue;
    const from = depth === scope.length ? (node?.id ?? null) : (scope[depth] ?? null);
    const before = from === null ? null : ancestors(linksOf(graph), from);
    for (const other of graph.nodes) {
      if (other.id === from) continue;
      seen.push({
        id: other.id,
        label: textOf(other["name"]),
        isBefore: before === null || before.has(other.id),
        outputs: outputsOf(other),
      });
    }
  }
  return seen.sort((a, b) => Number(b.isBefore) - Number(a.isBefore));
}

export function ancestors(links: readonly { source: string; target: string }[], id: string): Set<string> {
  const above = new Map<string, string[]>();
  for (const { source, target } of links) above.set(target, [...(above.get(target) ?? []), source]);
  const found = new Set<string>();
  const open = [id];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const source of above.get(next) ?? []) {
      if (!found.has(source)) {
        found.add(source);
        open.push(source);
      }
    }
  }
  return found;
}

/** By type: what its output is known to have. */
const OUTPUTS: Record<string, string[]> = {
  webhook: ["status", "headers", "body"],
  sql: ["rows", "row_count", "columns"],
  prompt_execution: ["text", "json", "model", "provider", "usage"],
  condition: ["result"],
  wait_event: ["data", "type", "source", "id", "time"],
  human_approval: ["decision", "comment", "decided_by", "decided_at"],
};

function outputsOf(node: NodeDef): string[] {
  const ports = listOf(node["outputs"])
    .filter(isFields)
    .map((port) => textOf(port["name"]));
  const own = node.type === "data_transform" ? Object.keys(fieldsOf(fieldOf(node, "expressions"))) : [];
  if (fieldOf(node, "for_each") !== undefined) return [];
  return [...new Set([...ports, ...own, ...(OUTPUTS[node.type] ?? [])])].filter((name) => name !== "");
}
