/* The moments of a run: one per event of its history, numbered from 1. They become known from the first on, page by page,
   and the last one beside; a moment between is guessed by its place until its page is there. */
import { fieldsOf, textOf } from "../../api/narrow";
import type { LoggedEvent } from "../../api/live";

export interface Moment {
  /** Of the run's own history, from 1 without gaps. */
  number: number;
  position: number;
  type: string;
  at: string;
  nodeId: string | null;
  instance: string;
}

export interface Moments {
  /** From the first on, without gaps. */
  head: readonly Moment[];
  last: Moment | null;
}

export const NO_MOMENTS: Moments = { head: [], last: null };

export function momentOf(event: LoggedEvent): Moment {
  const data = fieldsOf(event.data);
  return {
    number: event.version,
    position: event.position,
    type: event.type,
    at: String(event.recorded_at),
    nodeId: textOf(data["node_id"]),
    instance: textOf(data["instance"]) ?? "",
  };
}

export function countOf({ head, last }: Moments): number {
  return Math.max(last?.number ?? 0, head.length);
}

export function areAllKnown(moments: Moments): boolean {
  return moments.head.length > 0 && moments.head.length >= countOf(moments);
}

/** With a page of history, or what came live: what follows the head joins it, the newest is the last. */
export function withEvents(moments: Moments, events: readonly LoggedEvent[]): Moments {
  let head: Moment[] | null = null;
  let last = moments.last;
  let next = moments.head.length + 1;
  for (const event of events) {
    const moment = momentOf(event);
    if (moment.number === next) {
      head ??= [...moments.head];
      head.push(moment);
      next += 1;
    }
    if (last === null || moment.number > last.number) last = moment;
  }
  return head === null && last === moments.last ? moments : { head: head ?? moments.head, last };
}

/** The position of moment `number`; beyond the head a guess: state is asked for as of a position, not of an event. */
export function positionAt(moments: Moments, number: number): number {
  const { head, last } = moments;
  const wanted = Math.max(1, Math.min(number, countOf(moments)));
  const known = head[wanted - 1];
  if (known !== undefined) return known.position;
  if (last === null) return 0;
  if (wanted >= last.number) return last.position;
  const from = head.at(-1);
  if (from === undefined) return last.position;
  const share = (wanted - from.number) / (last.number - from.number);
  return Math.round(from.position + share * (last.position - from.position));
}

/** Which moment a position is of: the last one at or before it. */
export function numberAt(moments: Moments, position: number): number {
  const { head, last } = moments;
  const end = head.at(-1);
  if (last !== null && position >= last.position) return last.number;
  if (end !== undefined && position > end.position && last !== null) {
    const share = (position - end.position) / (last.position - end.position);
    return Math.round(end.number + share * (last.number - end.number));
  }
  let low = 0;
  let high = head.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((head[middle]?.position ?? Infinity) <= position) low = middle + 1;
    else high = middle;
  }
  return Math.max(1, low);
}

/** What is known of a moment; null where its page is not there yet. */
export function knownAt({ head, last }: Moments, number: number): Moment | null {
  return head[number - 1] ?? (last?.number === number ? last : null);
}

/** The index of the last event at or before a position; -1 where none is, or where it may lie beyond those that are known. */
export function momentIn(
  events: readonly { position: number }[],
  position: number,
  areAllThere: boolean,
): number {
  const after = events.findIndex((event) => event.position > position);
  if (after !== -1) return after - 1;
  const last = events.at(-1);
  return last !== undefined && (areAllThere || last.position === position) ? events.length - 1 : -1;
}

export const PLAYED_MS = 350;
const PLAYED_STEPS_MAX = 150;

/** How many events one step of playing takes: a whole history plays in about a minute. */
export function playedAtOnce(count: number): number {
  return Math.max(1, Math.ceil(count / PLAYED_STEPS_MAX));
}
