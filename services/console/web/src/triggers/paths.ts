/* The paths into an event that an expression may name, as a sample has them; and where a fault in one stands. */

export interface Path {
  path: string;
  value: unknown;
}

const PATHS_MAX = 200;
const DEPTH_MAX = 6;
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** `event.data.size`, `event.data["my-key"]`… nearest first. */
export function pathsOf(value: unknown, root: string): Path[] {
  const found: Path[] = [];
  let level: Path[] = [{ path: root, value }];
  for (let depth = 0; depth < DEPTH_MAX && level.length > 0; depth += 1) {
    level = level.flatMap(({ path, value: of }) =>
      typeof of !== "object" || of === null || Array.isArray(of)
        ? []
        : Object.entries(of).map(([name, inner]: [string, unknown]) => ({
            path: NAME.test(name) ? `${path}.${name}` : `${path}[${JSON.stringify(name)}]`,
            value: inner,
          })),
    );
    found.push(...level);
  }
  return found.slice(0, PATHS_MAX);
}

/** The offset that `unexpected '>' at 1:20` names, within the text. */
export function faultAt(message: string, text: string): { from: number; to: number } {
  const found = / at (\d+):(\d+)/.exec(message);
  if (found === null) return { from: 0, to: text.length };
  const lines = text.split("\n");
  const before = lines.slice(0, Number(found[1]) - 1).reduce((sum, line) => sum + line.length + 1, 0);
  const from = Math.max(0, Math.min(before + Number(found[2]) - 1, text.length));
  return from >= text.length
    ? { from: Math.max(0, text.length - 1), to: text.length }
    : { from, to: from + 1 };
}
