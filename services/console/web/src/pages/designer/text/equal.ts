import { isFields } from "../model/definition";

/** The same JSON. Order of keys does not matter; a key without a value is as none. */
export function isEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((item, index) => isEqual(item, b[index]));
  }
  if (!isFields(a) || !isFields(b)) return false;
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...keys].every((key) => isEqual(a[key], b[key]));
}

/** What says which item of a list is which, whatever its place; null where nothing does. */
export function keyOf(item: unknown): string | null {
  if (!isFields(item)) return null;
  const { id, name, source_node_id: source, target_node_id: target, trigger_type: type } = item;
  if (typeof source === "string" && typeof target === "string") {
    return `${source}>${target}:${String(item["source_output"])}>${String(item["target_input"])}`;
  }
  for (const word of [id, target, type, item["workflow_id"], name]) if (typeof word === "string") return word;
  return null;
}

/** For each item of the later list the index of what it was in the earlier one, or null. */
export function matched(before: readonly unknown[], after: readonly unknown[]): (number | null)[] {
  const keys = after.map(keyOf);
  const earlier = new Map(before.map((item, index) => [keyOf(item), index]));
  const areKnown = !earlier.has(null) && !keys.includes(null);
  if (!areKnown || earlier.size !== before.length || new Set(keys).size !== keys.length) {
    return after.map((_item, index) => (index < before.length ? index : null));
  }
  const found = keys.map((key) => earlier.get(key) ?? null);
  if (before.length !== after.length) return found;
  const used = new Set(found);
  // of as many items, one that is new and stands where another vanished is that one under another name
  return found.map((index, at) => index ?? (used.has(at) ? null : at));
}
