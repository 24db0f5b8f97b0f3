/* Periods as they are typed: `5 min`, `1h 30m`, `500 ms`. */

const UNITS: [RegExp, number][] = [
  [/^(ms|milliseconds?)$/, 1],
  [/^(s|secs?|seconds?)$/, 1_000],
  [/^(m|mins?|minutes?)$/, 60_000],
  [/^(h|hours?)$/, 3_600_000],
  [/^(d|days?)$/, 86_400_000],
  [/^(w|weeks?)$/, 604_800_000],
];

/** In milliseconds; null for what is no period. A number without a unit is seconds. */
export function parseDuration(text: string): number | null {
  const plain = text.trim().toLowerCase();
  if (/^\d+(\.\d+)?$/.test(plain)) return Math.round(Number(plain) * 1_000);
  if (!/^(\d+(\.\d+)?\s*[a-z]+\s*)+$/.test(plain)) return null;
  let sum = 0;
  for (const [, number, unit] of plain.matchAll(/(\d+(?:\.\d+)?)\s*([a-z]+)/g)) {
    const found = UNITS.find(([name]) => name.test(unit ?? ""));
    if (found === undefined) return null;
    sum += Number(number) * found[1];
  }
  return Math.round(sum);
}

/** Exactly, so that it can be typed back: `1 h 30 min`. */
export function durationText(ms: number): string {
  const parts: string[] = [];
  let rest = ms;
  for (const [name, size] of [
    ["d", 86_400_000],
    ["h", 3_600_000],
    ["min", 60_000],
    ["s", 1_000],
    ["ms", 1],
  ] as const) {
    const whole = Math.floor(rest / size);
    if (whole > 0) parts.push(`${whole} ${name}`);
    rest -= whole * size;
  }
  return parts.length === 0 ? "0 ms" : parts.join(" ");
}
