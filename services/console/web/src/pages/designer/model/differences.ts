/* What differs between two definitions, path by path; items of lists are told by their ids. */
import { isFields } from "./definition";
import { isEqual, keyOf } from "../text/equal";

export interface Difference {
  path: string;
  before: unknown;
  after: unknown;
}

export const DIFFERENCES_MAX = 200;

export function differences(before: unknown, after: unknown, path = ""): Difference[] {
  const found: Difference[] = [];
  collect(before, after, path, found);
  return found.slice(0, DIFFERENCES_MAX);
}

function collect(before: unknown, after: unknown, path: string, found: Difference[]): void {
  if (found.length > DIFFERENCES_MAX || isEqual(before, after)) return;
  const [a, b] = [named(before), named(after)];
  if (a === null || b === null || path.endsWith(".position")) {
    found.push({ path, before, after });
    return;
  }
  const length = found.length;
  for (const key of new Set([...a.keys(), ...b.keys()])) {
    collect(a.get(key), b.get(key), path === "" ? key : `${path}.${key}`, found);
  }
  // lists of the same items in another order
  if (found.length === length) found.push({ path, before, after });
}

/** An object by key, a list whose items can be told apart by what tells them; null for all else. */
function named(value: unknown): Map<string, unknown> | null {
  if (isFields(value)) return new Map(Object.entries(value));
  if (!Array.isArray(value) || value.length === 0) return null;
  const keys = value.map(keyOf);
  if (keys.includes(null) || new Set(keys).size !== keys.length) return null;
  return new Map(value.map((item: unknown, index) => [keys[index] ?? "", item]));
}
