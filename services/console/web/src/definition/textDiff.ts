/* Lines that two texts share and lines that only one has (Myers, "An O(ND) Difference Algorithm", 1986). */

export interface Line {
  kind: "same" | "removed" | "added";
  text: string;
  /** Numbers from 1, of the side that has the line. */
  before: number | null;
  after: number | null;
}

/** Beyond so many differing lines all of the middle is told as exchanged: the search grows with their square. */
const EDITS_MAX = 800;

export function textDiff(before: string, after: string): Line[] {
  const [a, b] = [linesOf(before), linesOf(after)];
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let tail = 0;
  while (
    tail < a.length - head &&
    tail < b.length - head &&
    a[a.length - 1 - tail] === b[b.length - 1 - tail]
  )
    tail += 1;
  const kinds = [
    ...Array<Line["kind"]>(head).fill("same"),
    ...middle(a.slice(head, a.length - tail), b.slice(head, b.length - tail)),
    ...Array<Line["kind"]>(tail).fill("same"),
  ];
  return numbered(kinds, a, b);
}

function linesOf(text: string): string[] {
  if (text === "") return [];
  return (text.endsWith("\n") ? text.slice(0, -1) : text).split("\n");
}

function numbered(kinds: Line["kind"][], a: string[], b: string[]): Line[] {
  let [i, j] = [0, 0];
  return kinds.map((kind) => {
    const text = (kind === "added" ? b[j] : a[i]) ?? "";
    const before = kind === "added" ? null : (i += 1);
    const after = kind === "removed" ? null : (j += 1);
    return { kind, text, before, after };
  });
}

/** The shortest way from `a` to `b`, removals before additions where both would do. */
function middle(a: string[], b: string[]): Line["kind"][] {
  const reached: Map<number, number>[] = [];
  let furthest = new Map<number, number>([[1, 0]]);
  const edits = Math.min(a.length + b.length, EDITS_MAX);
  for (let d = 0; d <= edits; d += 1) {
    reached.push(furthest);
    furthest = new Map(furthest);
    for (let k = -d; k <= d; k += 2) {
      const isDown = k === -d || (k !== d && (furthest.get(k - 1) ?? -1) < (furthest.get(k + 1) ?? -1));
      let x = isDown ? (furthest.get(k + 1) ?? 0) : (furthest.get(k - 1) ?? 0) + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x += 1;
      furthest.set(k, x);
      if (x >= a.length && x - k >= b.length) return wayBack(reached, a.length, b.length);
    }
  }
  return [...a.map(() => "removed" as const), ...b.map(() => "added" as const)];
}

function wayBack(reached: Map<number, number>[], aLength: number, bLength: number): Line["kind"][] {
  const kinds: Line["kind"][] = [];
  let [x, y] = [aLength, bLength];
  for (let d = reached.length - 1; d >= 0; d -= 1) {
    const furthest = reached[d] ?? new Map<number, number>();
    const k = x - y;
    const isDown = k === -d || (k !== d && (furthest.get(k - 1) ?? -1) < (furthest.get(k + 1) ?? -1));
    const from = isDown ? k + 1 : k - 1;
    const fromX = d === 0 ? 0 : (furthest.get(from) ?? 0);
    const fromY = d === 0 ? 0 : fromX - from;
    while (x > fromX && y > fromY) {
      kinds.push("same");
      [x, y] = [x - 1, y - 1];
    }
    if (d > 0) kinds.push(isDown ? "added" : "removed");
    [x, y] = [fromX, fromY];
  }
  return kinds.reverse();
}

export type Part = { lines: Line[] } | { hidden: Line[] };

/** What changed with so many lines around it; longer stretches without a change are folded. */
export function folded(lines: Line[], around = 3): Part[] {
  const isNear = lines.map(() => false);
  lines.forEach(({ kind }, at) => {
    if (kind === "same") return;
    for (let i = Math.max(0, at - around); i <= Math.min(lines.length - 1, at + around); i += 1)
      isNear[i] = true;
  });
  const parts: Part[] = [];
  lines.forEach((line, at) => {
    const last = parts[parts.length - 1];
    if (isNear[at] === true) {
      if (last !== undefined && "lines" in last) last.lines.push(line);
      else parts.push({ lines: [line] });
    } else if (last !== undefined && "hidden" in last) last.hidden.push(line);
    else parts.push({ hidden: [line] });
  });
  return parts;
}
