/* Ids: lower-case letters, digits, `-` and `_`, at most 63 characters, and each of them once. */
import { freeId, idOf as slugOf } from "../../templates/ids";

export { SLUG } from "../../../triggers/trigger";
export { slugOf };

/** The wanted id, or with a number the first that nobody has: after `job-2` comes `job-3`. */
export function unusedId(wanted: string, taken: ReadonlySet<string>): string {
  const slug = slugOf(wanted) || "node";
  return taken.has(slug) ? freeId(slug.replace(/-\d+$/, ""), taken) : slug;
}
