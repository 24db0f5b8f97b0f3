/* The last runs as small bars: how each ended, and how long it took beside the others. */
import { Tooltip } from "@mantine/core";
import { Link } from "react-router";
import { colourOf } from "./Status";
import { local, took } from "./times";

export interface BarRun {
  run_id: string;
  status: string;
  created_at: string;
  duration_ms: number | null;
}

const FULL_PX = 22;

/** Oldest on the left. */
export function RunBars({ runs }: { runs: BarRun[] }) {
  const longest = Math.max(1, ...runs.map(({ duration_ms }) => duration_ms ?? 0));
  return (
    <span className="ff-bars">
      {runs.map((run) => (
        <Tooltip
          key={run.run_id}
          label={`${run.status} · ${took(run.duration_ms)} · ${local(run.created_at)}`}
        >
          <Link
            to={`/runs/${run.run_id}`}
            aria-label={`Run ${run.status}, ${took(run.duration_ms)}`}
            style={{
              height: Math.max(6, (FULL_PX * (run.duration_ms ?? longest)) / longest),
              background: colourOf(run.status),
              opacity: run.status === "completed" ? 0.75 : 1,
            }}
          />
        </Tooltip>
      ))}
    </span>
  );
}
