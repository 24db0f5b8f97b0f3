/* A text with what changed in its definition changed in it: comments, order and style of the rest stay. */
import {
  isMap,
  isScalar,
  isSeq,
  parseDocument,
  Scalar,
  type Document,
  type Node as YamlNode,
  type Pair,
  type YAMLMap,
  type YAMLSeq,
} from "yaml";
import { isFields, type Definition, type Fields } from "../model/definition";
import { isEqual, matched } from "./equal";
import { AS_TEXT, made, print, rankOf } from "./print";

/** The text of `after`, made of the text of `before`. Where it cannot be kept (aliases), it is printed anew. */
export function patched(text: string, before: Definition, after: Definition): string {
  if (before === after) return text;
  const document = parseDocument(text);
  if (document.errors.length > 0 || !isMap(document.contents)) return print(after);
  patchMap(document, document.contents, before, after, "top");
  return isEqual(document.toJS(), after) ? document.toString(AS_TEXT) : print(after);
}

function patchMap(document: Document, map: YAMLMap, before: Fields, after: Fields, field: string): void {
  for (const key of Object.keys(before)) if (after[key] === undefined) map.delete(key);
  for (const [key, value] of Object.entries(after)) {
    if (value === undefined || value === before[key]) continue;
    const there = map.get(key, true) as YamlNode | undefined;
    if (there === undefined) insert(document, map, key, value, field);
    else map.set(key, patchedValue(document, there, before[key], value, key));
  }
}

/** A new key stands where a printed definition has it; comments above it stay with what they were above. */
function insert(document: Document, map: YAMLMap, key: string, value: unknown, field: string): void {
  const pair = document.createPair(key, null) as Pair;
  pair.value = made(document, value, key);
  const rank = rankOf(key, field);
  const isRanked = field === "top" || field === "node";
  const at = isRanked
    ? map.items.findIndex(
        ({ key: other }) => rankOf(isScalar(other) ? String(other.value) : "", field) > rank,
      )
    : -1;
  if (at < 0) map.items.push(pair);
  else map.items.splice(at, 0, pair);
}

function patchedValue(
  document: Document,
  there: YamlNode,
  before: unknown,
  after: unknown,
  field: string,
): YamlNode {
  if (isEqual(before, after)) return there;
  if (isMap(there) && isFields(before) && isFields(after)) {
    patchMap(document, there, before, after, field);
    return there;
  }
  if (isSeq(there) && Array.isArray(before) && Array.isArray(after)) {
    patchSeq(document, there, before, after, field);
    return there;
  }
  return withNotes(made(document, after, field), there);
}

function patchSeq(
  document: Document,
  seq: YAMLSeq,
  before: readonly unknown[],
  after: readonly unknown[],
  field: string,
): void {
  const items = [...seq.items];
  const inner = field === "nodes" ? "node" : field === "edges" || field === "branches" ? "position" : field;
  const sources = matched(before, after);
  seq.items = after.map((value, index) => {
    const source = sources[index] ?? null;
    const there = source === null ? undefined : (items[source] as YamlNode | undefined);
    if (source === null || there === undefined) return madeItem(document, value, inner, items[0]);
    return patchedValue(document, there, before[source], value, inner);
  });
  if (seq.items.length > 0 && items.length === 0 && field !== "tags") seq.flow = false;
}

/** A new item has the style of its neighbours. */
function madeItem(document: Document, value: unknown, field: string, neighbour: unknown): YamlNode {
  const list = made(document, [value], field === "node" ? "nodes" : field);
  const one = isSeq(list) ? list.items[0] : undefined;
  if (isMap(one) && isMap(neighbour) && field !== "node") one.flow = neighbour.flow === true;
  else if (isMap(one) && field === "position") one.flow = true;
  return one as YamlNode;
}

function withNotes(node: YamlNode, there: YamlNode): YamlNode {
  if (there.comment != null) node.comment = there.comment;
  if (there.commentBefore != null) node.commentBefore = there.commentBefore;
  if (there.spaceBefore === true) node.spaceBefore = true;
  if (
    isScalar(node) &&
    isScalar(there) &&
    typeof node.value === "string" &&
    typeof there.value === "string"
  ) {
    const isQuoted = there.type === Scalar.QUOTE_DOUBLE || there.type === Scalar.QUOTE_SINGLE;
    const isBlock = there.type === Scalar.BLOCK_LITERAL && node.value.includes("\n");
    if (there.type !== undefined && (isQuoted || isBlock)) node.type = there.type;
  }
  return node;
}
