import type { Schemas } from "../../api/client";

/** What is otherwise about a node: `status, output`; `output taken over` where a fork did not run it. */
export function changedWords(
  node: Pick<Schemas["NodeDiff"], "before" | "after" | "changed" | "is_reused">,
): string {
  if (node.before === null) return "new";
  if (node.after === null) return "no longer there";
  const words = node.changed.map((name) => name.replaceAll("_", " ")).join(", ");
  const reused = node.is_reused ? "output taken over" : "";
  return [words === "" ? "the same" : `otherwise: ${words}`, reused].filter(Boolean).join(" · ");
}
