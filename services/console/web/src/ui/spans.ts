/* How far back a list looks: `1h`, `24h`, `7d`… in the address, a time for the server. */

export const SPANS = [
  { value: "1h", label: "the last hour", ms: 3_600_000 },
  { value: "24h", label: "the last day", ms: 86_400_000 },
  { value: "7d", label: "the last week", ms: 604_800_000 },
  { value: "30d", label: "the last 30 days", ms: 2_592_000_000 },
];

/** The time that a span or a time of the address means, to the minute, so that asking again is the same question. */
export function sinceOf(text: string, now: number = Date.now()): string | undefined {
  const span = SPANS.find(({ value }) => value === text);
  if (span !== undefined) return new Date(Math.floor((now - span.ms) / 60_000) * 60_000).toISOString();
  return text === "" || Number.isNaN(Date.parse(text)) ? undefined : new Date(text).toISOString();
}
