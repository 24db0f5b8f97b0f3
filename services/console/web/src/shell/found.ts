/* What the palette finds beside pages and workflows. */

const WHOLE_ID = /^[0-9a-f]{8}-[0-9a-f-]{27}$/i;
/** The end of an id, as the console shows runs; shorter ones would find too much. */
const END_OF_ID = /^[0-9a-f-]{4,35}$/i;

/** What was typed as the id of a run: a whole one leads there, of a part those of the newest runs that end so. */
export function runIdsFor(typed: string, newest: readonly string[]): string[] {
  const asked = typed.trim().toLowerCase();
  if (WHOLE_ID.test(asked)) return [asked];
  if (!END_OF_ID.test(asked)) return [];
  return newest.filter((id) => id.endsWith(asked) || id.slice(-8).startsWith(asked));
}
