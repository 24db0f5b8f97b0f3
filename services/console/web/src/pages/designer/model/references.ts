/* Where a node is named by others: in edges, paths, branches, merges, and in expressions. */
import { isFields, type Graph, type NodeDef } from "./definition";
import { asCel } from "../check/references";
import { mapExpressions } from "../check/templates";

export type Renaming = ReadonlyMap<string, string>;

/** Texts that are no expressions, whatever stands in them. */
const PLAIN_FIELDS: ReadonlySet<string> = new Set(["id", "type", "name", "description", "source", "query"]);
/** Fields that hold CEL itself, without `${…}` around it. */
export const CEL_FIELDS: ReadonlySet<string> = new Set(["condition", "filter", "correlate_by"]);
const NODE_FIELDS: ReadonlySet<string> = new Set([
  "true_path",
  "false_path",
  "target_node_id",
  "source_node_id",
  "parallel_node_id",
]);

/** A graph (bodies included) in which nodes have other ids, and are named by them. */
export function renamed({ nodes, edges }: Graph, ids: Renaming): Graph {
  return {
    nodes: nodes.map((node) => renamedNode(node, ids)),
    edges: edges.map((edge) => renamedIn(edge, "", ids)),
  };
}

function renamedNode(node: NodeDef, ids: Renaming): NodeDef {
  const changed = renamedIn(node, "", ids);
  const id = ids.get(node.id);
  return id === undefined ? changed : { ...changed, id };
}

/** The value itself where nothing in it names one of the nodes, so that what did not change stays the same object. */
export function renamedIn<T>(value: T, field: string, ids: Renaming): T {
  if (typeof value === "string") return renamedText(value, field, ids) as T;
  if (Array.isArray(value)) {
    const items = value.map((item: unknown) => renamedIn(item, field, ids));
    return items.some((item, index) => item !== value[index]) ? (items as T) : value;
  }
  if (!isFields(value)) return value;
  const entries = Object.entries(value).map(([key, one]): [string, unknown] => [
    key,
    key === "nodes" && Array.isArray(one) && field === "body"
      ? keptOr(
          one,
          (one as NodeDef[]).map((node) => renamedNode(node, ids)),
        )
      : renamedIn(one, key, ids),
  ]);
  return entries.some(([key, one]) => one !== value[key]) ? (Object.fromEntries(entries) as T) : value;
}

function keptOr<T>(before: T[], after: T[]): T[] {
  return after.some((item, index) => item !== before[index]) ? after : before;
}

function renamedText(text: string, field: string, ids: Renaming): string {
  if (NODE_FIELDS.has(field)) return ids.get(text) ?? text;
  if (PLAIN_FIELDS.has(field)) return text;
  if (CEL_FIELDS.has(field)) return renamedCel(text, ids);
  return mapExpressions(text, (expression) => renamedCel(expression, ids));
}

const NAMED = /\bnodes(?:\.([A-Za-z_][A-Za-z0-9_]*)|\[\s*(?:"([^"]*)"|'([^']*)')\s*\])/g;

function renamedCel(text: string, ids: Renaming): string {
  return text.replace(NAMED, (whole, dotted?: string, double?: string, single?: string) => {
    const id = ids.get(dotted ?? double ?? single ?? "");
    return id === undefined ? whole : asCel("nodes", id);
  });
}
