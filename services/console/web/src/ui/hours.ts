/* Counts by the hour as series of a chart: hours in which nothing was are there with zeros. */

export interface HourRuns {
  hour: string;
  runs: { created: number; completed: number; failed: number; cancelled: number; partial: number };
}

export interface RunSeries {
  /** Beginnings, in seconds since 1970. */
  times: number[];
  completed: number[];
  failed: number[];
  other: number[];
}

const HOUR_MS = 3_600_000;

/** `everyHours` hours make one bar; `since` and `until` are whole hours. */
export function seriesOf(hours: HourRuns[], since: string, until: string, everyHours: number): RunSeries {
  const size = everyHours * HOUR_MS;
  const begin = Date.parse(since);
  const count = Math.max(1, Math.ceil((Date.parse(until) - begin) / size));
  const zeros = () => Array<number>(count).fill(0);
  const series: RunSeries = {
    times: Array.from({ length: count }, (_one, at) => (begin + at * size) / 1_000),
    completed: zeros(),
    failed: zeros(),
    other: zeros(),
  };
  const add = (to: number[], at: number, more: number) => (to[at] = (to[at] ?? 0) + more);
  for (const { hour, runs } of hours) {
    const at = Math.floor((Date.parse(hour) - begin) / size);
    if (at < 0 || at >= count) continue;
    add(series.completed, at, runs.completed);
    add(series.failed, at, runs.failed);
    add(series.other, at, runs.cancelled + runs.partial);
  }
  return series;
}

export interface Sum {
  completed: number;
  failed: number;
  other: number;
  /** Share of those completed among all that ended on their own; null of none. */
  success: number | null;
}

export function sumOf(hours: HourRuns[]): Sum {
  let [completed, failed, partial, cancelled] = [0, 0, 0, 0];
  for (const { runs } of hours) {
    completed += runs.completed;
    failed += runs.failed;
    partial += runs.partial;
    cancelled += runs.cancelled;
  }
  const judged = completed + failed + partial;
  return { completed, failed, other: partial + cancelled, success: judged === 0 ? null : completed / judged };
}

/** `98.7 %`, `100 %`; never 100 where one failed. */
export function percent(share: number | null): string {
  if (share === null) return "–";
  const shown = Math.floor(share * 1_000) / 10;
  return `${Number.isInteger(shown) ? shown : shown.toFixed(1)} %`;
}
