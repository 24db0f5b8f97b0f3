/* What is due next, as it is shown: what has just fired is gone, the rest in the order in which it comes. */

export interface DueItem {
  workflow_id: string;
  trigger_id: string;
  due_at: string;
}

export function soonest<T extends DueItem>(items: T[], now: number, count: number): T[] {
  return items
    .filter(({ due_at }) => Date.parse(due_at) > now)
    .sort(
      (one, other) =>
        Date.parse(one.due_at) - Date.parse(other.due_at) ||
        one.workflow_id.localeCompare(other.workflow_id) ||
        one.trigger_id.localeCompare(other.trigger_id),
    )
    .slice(0, count);
}

const ASK_AGAIN_MS_MIN = 1_000;
const ASK_AGAIN_MS_MAX = 60_000;
const AFTER_FIRING_MS = 500;

/** How long until it is worth to ask anew: until the first has fired, at least a second, at most a minute. */
export function askAgainMs(items: DueItem[], now: number): number {
  const first = Math.min(...items.map(({ due_at }) => Date.parse(due_at)), now + ASK_AGAIN_MS_MAX);
  return Math.min(ASK_AGAIN_MS_MAX, Math.max(ASK_AGAIN_MS_MIN, first - now + AFTER_FIRING_MS));
}
