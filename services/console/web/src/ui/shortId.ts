/** The last digits of a run's id: the first ones are its time, and much the same in neighbours. */
export function shortId(runId: string): string {
  return runId.slice(-8);
}
