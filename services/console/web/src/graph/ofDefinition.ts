/* The nodes and edges that a definition means, also those it only implies. */
import { isObject, listOf, textsOf, type Fields } from "../api/narrow";
import type { Drawn } from "./WorkflowGraph";

function list(value: unknown): Fields[] {
  return listOf(value).filter(isObject);
}

function names(value: unknown): string[] {
  return typeof value === "string" ? [value] : textsOf(value);
}

/** What a node leads to by its own settings: the paths of a condition, the branches of a parallel. */
function implied(node: Fields): string[] {
  const own = isObject(node["config"]) ? { ...node, ...node["config"] } : node;
  const branches = list(own["branches"]).map((branch) => String(branch["target_node_id"]));
  return [...names(own["true_path"]), ...names(own["false_path"]), ...branches];
}

/** As interface.md has it: without edges, nodes that carry `order_index` are a chain. */
function chain(nodes: Fields[]): [string, string][] {
  const ordered = nodes.filter((node) => typeof node["order_index"] === "number");
  ordered.sort((one, other) => Number(one["order_index"]) - Number(other["order_index"]));
  return ordered.slice(1).map((node, at) => [String(ordered[at]?.["id"]), String(node["id"])]);
}

export function drawnOf(definition: Fields): Drawn {
  const nodes = list(definition["nodes"]);
  const written = list(definition["edges"]).map((edge): [string, string] => [
    String(edge["source_node_id"]),
    String(edge["target_node_id"]),
  ]);
  const all = [
    ...(written.length === 0 ? chain(nodes) : written),
    ...nodes.flatMap((node) => implied(node).map((to): [string, string] => [String(node["id"]), to])),
  ];
  const pairs = new Map(all.map(([from, to]) => [`${from}>${to}`, { from, to }]));
  return {
    nodes: nodes.map((node) => ({
      id: String(node["id"]),
      data: {
        type: String(node["type"]),
        name: typeof node["name"] === "string" && node["name"] !== "" ? node["name"] : String(node["id"]),
        isMap: typeof node["for_each"] === "string",
      },
    })),
    edges: [...pairs].map(([id, { from, to }]) => ({ id, source: from, target: to })),
  };
}
