/* One definition after the other, and the way back. A snapshot is the definition and the text that it was typed as. */
import type { Definition } from "./definition";

export interface Snapshot {
  definition: Definition;
  /** What was last typed or loaded as YAML, and what it meant: the text of the definition is made of it. */
  source: { text: string; definition: Definition };
}

export interface History {
  past: Snapshot[];
  present: Snapshot;
  future: Snapshot[];
  /** What the last change belongs to: those of one field, typed without a pause, are undone together. */
  merge: { key: string; at: number } | null;
}

export const UNDOS_MAX = 200;
const MERGE_WITHIN_MS = 1_500;

export function begin(present: Snapshot): History {
  return { past: [], present, future: [], merge: null };
}

export function changed(history: History, present: Snapshot, key: string | null, now: number): History {
  if (present.definition === history.present.definition && present.source === history.present.source)
    return history;
  const { merge, past } = history;
  const isOneWithLast =
    key !== null &&
    merge !== null &&
    merge.key === key &&
    now - merge.at < MERGE_WITHIN_MS &&
    past.length > 0;
  return {
    past: isOneWithLast ? past : [...past, history.present].slice(-UNDOS_MAX),
    present,
    future: [],
    merge: key === null ? null : { key, at: now },
  };
}

export function undone({ past, present, future, merge }: History): History {
  const last = past.at(-1);
  if (last === undefined) return { past, present, future, merge };
  return { past: past.slice(0, -1), present: last, future: [present, ...future], merge: null };
}

export function redone({ past, present, future, merge }: History): History {
  const [next, ...rest] = future;
  if (next === undefined) return { past, present, future, merge };
  return { past: [...past, present], present: next, future: rest, merge: null };
}
