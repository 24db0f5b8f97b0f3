/* What runs now, counted by the trigger that started it. */

interface ActiveRun {
  status: string;
  trigger: { type: string; id: string };
  created_at: string;
}

export interface ByTrigger {
  id: string;
  type: string;
  running: number;
  pending: number;
  paused: number;
  oldest_at: string;
}

export function byTrigger(runs: ActiveRun[]): ByTrigger[] {
  const found = new Map<string, ByTrigger>();
  for (const { status, trigger, created_at } of runs) {
    const zero = { ...trigger, running: 0, pending: 0, paused: 0, oldest_at: created_at };
    const one = found.get(trigger.id) ?? zero;
    if (status === "running" || status === "pending" || status === "paused") one[status] += 1;
    if (Date.parse(created_at) < Date.parse(one.oldest_at)) one.oldest_at = created_at;
    found.set(trigger.id, one);
  }
  const all = (one: ByTrigger) => one.running + one.pending + one.paused;
  return [...found.values()].sort((one, other) => all(other) - all(one) || one.id.localeCompare(other.id));
}
