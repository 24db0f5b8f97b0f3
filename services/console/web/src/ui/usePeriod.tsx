/* The time that statistics are of, up to now: chosen, and kept in the address. */
import { SegmentedControl } from "@mantine/core";
import type { ReactNode } from "react";
import { useFilters } from "./useFilters";
import { useNow } from "./When";

const HOUR_MS = 3_600_000;
const PERIODS = {
  "24h": { label: "24 hours", hours: 24, everyHours: 1 },
  "7d": { label: "7 days", hours: 168, everyHours: 6 },
  "30d": { label: "30 days", hours: 720, everyHours: 24 },
};
type Period = keyof typeof PERIODS;

export interface ChosenPeriod {
  /** The same for an hour, since statistics are of whole hours. */
  since: string;
  until: string;
  /** So many hours make one bar of a chart. */
  everyHours: number;
  control: ReactNode;
}

export function usePeriod(usual: Period): ChosenPeriod {
  const [filter, setFilter] = useFilters();
  const now = useNow(true, HOUR_MS);
  const given = filter("period");
  const chosen = given in PERIODS ? (given as Period) : usual;
  const { hours, everyHours } = PERIODS[chosen];
  const end = now + HOUR_MS;
  return {
    since: new Date(end - hours * HOUR_MS).toISOString(),
    until: new Date(end - 1).toISOString(),
    everyHours,
    control: (
      <SegmentedControl
        size="xs"
        aria-label="Time shown"
        value={chosen}
        onChange={(period) => setFilter({ period: period === usual ? null : period })}
        data={Object.entries(PERIODS).map(([value, { label }]) => ({ value, label }))}
        style={{ alignSelf: "flex-start" }}
      />
    ),
  };
}
