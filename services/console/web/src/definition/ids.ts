/* Ids of workflows, nodes, triggers and templates, as authors would choose them. */
const ID_CHARACTERS_MAX = 63;
const ID = /^[a-z0-9][a-z0-9_-]{0,62}$/;

/** What is wrong with an id, and how it would be right; null where nothing is. */
export function faultOfId(text: string): string | null {
  return ID.test(text)
    ? null
    : "Small letters, digits, - and _, beginning with a letter or a digit; at most 63 characters.";
}

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
