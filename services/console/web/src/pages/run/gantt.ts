/* Bars of attempts over time: where they stand, and where marks on the axis go. */
import type { Schemas } from "../../api/client";

export type Attempt = Schemas["Attempt"];

export interface Bar {
  /** Shares of the width, 0 to 1. */
  from: number;
  width: number;
}

export interface Row {
  key: string;
  attempt: Attempt;
  label: string;
  /** In the queue, before a worker had it. */
  waited: Bar | null;
  ran: Bar | null;
  isCritical: boolean;
}

export interface Chart {
  rows: Row[];
  /** Milliseconds since 1970. */
  from: number;
  until: number;
}

interface Span {
  /** When the run was asked for. */
  from: string;
  /** Its end, or now. */
  until: number;
  /** Attempts that began later are left out; those under way then end there. */
  then?: string | null;
  critical?: readonly string[];
}

/** Rows in the order in which the attempts began; shares are of the span from the run's beginning to its end. */
/** How an attempt stands; one of which nothing else is told waits to begin. */
export function standing({ status = "queued" }: { status?: string }): string {
  return status;
}

export function chartOf(
  attempts: readonly Attempt[],
  { from, until, then = null, critical = [] }: Span,
): Chart {
  const begin = Date.parse(from);
  const end = then === null ? until : Math.min(until, Date.parse(then));
  const whole = Math.max(1, end - begin);
  const isOnPath = new Set(critical);
  const bar = (start: number, stop: number): Bar => {
    const low = clamp(start, begin, end);
    return { from: (low - begin) / whole, width: (clamp(stop, low, end) - low) / whole };
  };
  const rows: Row[] = [];
  for (const attempt of attempts) {
    const queued = timeOf(attempt.queued_at);
    const started = timeOf(attempt.started_at);
    const ended = timeOf(attempt.completed_at) ?? (isUnderWay(standing(attempt)) ? end : (started ?? queued));
    const first = queued ?? started;
    if (first === null || (then !== null && first > end)) continue;
    rows.push({
      key: `${attempt.position}`,
      attempt,
      label: attempt.instance === "" ? attempt.node_id : `${attempt.node_id} #${attempt.instance}`,
      waited: queued === null ? null : bar(queued, started ?? ended ?? end),
      ran: started === null ? null : bar(started, ended ?? end),
      isCritical: isOnPath.has(attempt.node_id),
    });
  }
  return { rows, from: begin, until: end };
}

function isUnderWay(status: string): boolean {
  return status === "queued" || status === "running" || status === "waiting";
}

function timeOf(at: string | null | undefined): number | null {
  return at === null || at === undefined ? null : Date.parse(at);
}

function clamp(value: number, least: number, most: number): number {
  return Math.max(least, Math.min(value, most));
}

const STEPS_MS = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000,
  600_000, 900_000, 1_800_000, 3_600_000, 7_200_000, 14_400_000, 28_800_000, 86_400_000,
];

/** Round times from the beginning on, at most so many. */
export function ticksOf(durationMs: number, most: number): number[] {
  const least = durationMs / Math.max(1, most);
  const step = STEPS_MS.find((one) => one >= least) ?? Math.ceil(least / 86_400_000) * 86_400_000;
  const ticks: number[] = [];
  for (let at = 0; at <= durationMs; at += step) ticks.push(at);
  return ticks;
}
