/* Ids: lower-case letters, digits, `-` and `_`, at most 63 characters, and each of them once. */

const ID_CHARACTERS_MAX = 63;
export const SLUG = /^[a-z0-9][a-z0-9_-]{0,62}$/;

/** `Daily report (EU)` is `daily-report-eu`. */
export function slugOf(name: string): string {
  return name
    .normalize("NFKD")
    .replace(/\p{M}/gu, "")
    .toLowerCase()
    .replace(/[^a-z0-9_]+/g, "-")
    .replace(/^[-_]+/, "")
    .slice(0, ID_CHARACTERS_MAX)
    .replace(/[-_]+$/, "");
}

/** The wanted id, or the first of `wanted-2`, `wanted-3`… that nobody has. */
export function unusedId(wanted: string, taken: ReadonlySet<string>): string {
  const slug = slugOf(wanted) || "node";
  if (!taken.has(slug)) return slug;
  const stem = slug.replace(/-\d+$/, "");
  for (let number = 2; ; number += 1) {
    const ending = `-${number}`;
    const id = `${stem.slice(0, ID_CHARACTERS_MAX - ending.length)}${ending}`;
    if (!taken.has(id)) return id;
  }
}
