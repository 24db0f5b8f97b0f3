/* Ids as authors would choose them. */
const ID_CHARACTERS_MAX = 63;

/** `Daily report (EU)` → `daily-report-eu`; empty where no letter or digit is left. */
export function idOf(name: string): string {
  return name
    .normalize("NFKD")
    .replace(/[\u0300-\u036f]/g, "")
    .toLowerCase()
    .replace(/[^a-z0-9_]+/g, "-")
    .replace(/^[-_]+|-+$/g, "")
    .slice(0, ID_CHARACTERS_MAX);
}

/** The same, or with the first number that is free. */
export function freeId(wanted: string, taken: Iterable<string>): string {
  const known = new Set(taken);
  if (!known.has(wanted)) return wanted;
  for (let number = 2; ; number += 1) {
    const end = `-${number}`;
    const id = wanted.slice(0, ID_CHARACTERS_MAX - end.length) + end;
    if (!known.has(id)) return id;
  }
}
