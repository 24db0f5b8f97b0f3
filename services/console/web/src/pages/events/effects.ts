/* What an event caused, counted. */

export interface Counted {
  decision: string;
  count: number;
}

const ORDER = ["fired", "held", "failed", "suppressed", "expired", "not_matched"];

/** How many triggers gave which last answer: a `held` one that was decided later counts once, as decided. */
export function countedEffects(
  effects: { workflow_id: string; trigger_id: string; decision: string }[],
): Counted[] {
  const last = new Map(effects.map((one) => [`${one.workflow_id}/${one.trigger_id}`, one.decision]));
  const counts = new Map<string, number>();
  for (const decision of last.values()) counts.set(decision, (counts.get(decision) ?? 0) + 1);
  return [...counts]
    .map(([decision, count]) => ({ decision, count }))
    .sort((one, other) => ORDER.indexOf(one.decision) - ORDER.indexOf(other.decision));
}
