import { freeId, idOf } from "../../../definition/ids";

/** The wanted id, or with a number the first that nobody has: after `job-2` comes `job-3`. */
export function unusedId(wanted: string, taken: ReadonlySet<string>): string {
  const id = idOf(wanted) || "node";
  return taken.has(id) ? freeId(id.replace(/-\d+$/, ""), taken) : id;
}
