/* A definition as YAML, the way people write one: the important first, short things in one line. */
import { Document, isMap, isScalar, isSeq, type Node as YamlNode, type ToStringOptions } from "yaml";
import { isFields, type Definition } from "../model/definition";

export const AS_TEXT: ToStringOptions = { lineWidth: 0, flowCollectionPadding: false };

const TOP =
  "id name description experiment_id tags status variables input_schema settings nodes edges triggers trigger_configs output_mapping".split(
    " ",
  );
const NODE = "id type name description order_index".split(" ");
const LAST = "nodes edges body inputs outputs input_mapping output_mapping position".split(" ");
const IN_ONE_LINE: ReadonlySet<string> = new Set([
  "position",
  "tags",
  "edges",
  "branches",
  "retry_policy",
  "limit",
]);
const APART: ReadonlySet<string> = new Set([
  "variables",
  "settings",
  "nodes",
  "edges",
  "triggers",
  "output_mapping",
]);

export function print(definition: Definition): string {
  const document: Document = new Document({});
  document.contents = made(document, definition, "top");
  if (isMap(document.contents)) {
    for (const { key } of document.contents.items) {
      if (isScalar(key) && APART.has(String(key.value))) key.spaceBefore = true;
    }
  }
  return document.toString(AS_TEXT);
}

/** A value as a node of YAML, styled by the field that it stands in. */
export function made(document: Document, value: unknown, field: string): YamlNode {
  const node = document.createNode(ordered(value, field), { aliasDuplicateObjects: false });
  flatten(node, field);
  return node;
}

function flatten(node: unknown, field: string): void {
  if (isSeq(node)) {
    if (field === "tags") node.flow = true;
    for (const item of node.items) {
      if (isMap(item) && IN_ONE_LINE.has(field)) item.flow = true;
      flatten(item, "");
    }
  } else if (isMap(node)) {
    if (IN_ONE_LINE.has(field)) node.flow = true;
    for (const { key, value } of node.items) flatten(value, isScalar(key) ? String(key.value) : "");
  }
}

function ordered(value: unknown, field: string): unknown {
  if (Array.isArray(value))
    return value.map((item: unknown) => ordered(item, field === "nodes" ? "node" : ""));
  if (!isFields(value)) return value;
  const keys = Object.keys(value).filter((key) => value[key] !== undefined);
  const rank = (key: string) => rankOf(key, field);
  const sorted = field === "top" || field === "node" ? keys.sort((a, b) => rank(a) - rank(b)) : keys;
  return Object.fromEntries(sorted.map((key) => [key, ordered(value[key], key)]));
}

/** Where a key stands among its neighbours; the sort keeps the others as they came. */
export function rankOf(key: string, field: string): number {
  if (field === "top") {
    const at = TOP.indexOf(key);
    return at < 0 ? TOP.length : at;
  }
  const first = NODE.indexOf(key);
  const last = LAST.indexOf(key);
  return first >= 0 ? first : last >= 0 ? 100 + last : 50;
}
