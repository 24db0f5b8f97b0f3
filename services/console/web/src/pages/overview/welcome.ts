/* How far somebody has come with a new installation, and what to offer them. */

export type Stage = "new" | "unrun" | "used";

/** `new`: no workflow yet; `unrun`: some, of which none ever ran. Counts as `GET /api/stats` tells them, by status. */
export function stageOf(workflows: Record<string, number>, runs: Record<string, number>): Stage {
  if (isAny(runs)) return "used";
  return isAny(workflows) ? "unrun" : "new";
}

function isAny(counts: Record<string, number>): boolean {
  return Object.values(counts).some((count) => count > 0);
}

/** The best to begin with: short to run, something to see, and nothing else needed. */
const FIRST = ["process-list", "validate-and-alert", "parallel-etl"];
const NEEDS_MORE = /\bneeds\b/i;

/** So many templates for a first time: the chosen ones, else others that need nothing from outside. */
export function starters<T extends { id: string; description: string; source: string }>(
  templates: T[],
  count: number,
): T[] {
  const chosen = FIRST.flatMap((id) => templates.filter((template) => template.id === id));
  const others = templates.filter(
    (template) => !chosen.includes(template) && !NEEDS_MORE.test(template.description),
  );
  return [...chosen, ...others].slice(0, count);
}
