/* Causes that are events of FlowForge itself. */

/** The run whose end it was; null of any other event. */
export function runOf(source: string): string | null {
  return /^\/[^/]+\/run\/([0-9a-f-]{36})$/.exec(source)?.[1] ?? null;
}
