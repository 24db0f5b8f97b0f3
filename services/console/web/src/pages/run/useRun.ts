/* A run as it is now, kept up to date by its own stream while it goes on; and its moments, as far as they are known. */
import { useQuery, type UseQueryResult } from "@tanstack/react-query";
import { useCallback, useMemo } from "react";
import { api, noteWritten, type Schemas } from "../../api/client";
import { paced, useLive, type LoggedEvent } from "../../api/live";
import type { Moments } from "./moments";
import { useMoments } from "./useMoments";

export type Run = Schemas["Run"];

/** How often a run that goes on is read anew, at most. */
const READ_EACH_MS = 300;

export const ENDED: ReadonlySet<string> = new Set(["completed", "failed", "cancelled", "partial"]);

export interface Followed {
  query: UseQueryResult<Run>;
  moments: Moments;
  /** Load the moments that are not known yet: a long history is read only when somebody moves in it. */
  want: () => void;
}

export function useRun(runId: string): Followed {
  const query = api.useQuery("get", "/api/runs/{run_id}", { params: { path: { run_id: runId } } });
  const { refetch } = query;
  const run = query.data;
  const read = useMemo(() => paced(() => refetch(), READ_EACH_MS), [refetch]);
  const { moments, isBegun, want, join } = useMoments(runId, run?.position ?? null);
  const onEvents = useCallback(
    (events: LoggedEvent[]) => {
      noteWritten(events.at(-1)?.position ?? 0);
      join(events);
      read();
    },
    [join, read],
  );
  const isUnderWay = isBegun && run !== undefined && !ENDED.has(run.status);
  useLive(isUnderWay ? `/api/runs/${runId}/stream` : null, onEvents, read, run?.position);
  return { query: query as UseQueryResult<Run>, moments, want };
}

/** The run as it was at a position; what is past stays as it is. */
export function useStateAt(runId: string, at: number | null): UseQueryResult<Run> {
  const query = useQuery({
    ...stateAt(runId, at ?? 0),
    enabled: at !== null,
    placeholderData: (before) => before,
  });
  return query as UseQueryResult<Run>;
}

/** For `useQuery` and for fetching ahead. */
export function stateAt(runId: string, at: number) {
  const params = { path: { run_id: runId }, query: { at: String(at) } };
  return api.queryOptions(
    "get",
    "/api/runs/{run_id}/state",
    { params },
    { staleTime: Infinity, gcTime: 60_000 },
  );
}

/** The shape of the version that the run has. */
export function useShape(run: Run | undefined) {
  return api.useQuery(
    "get",
    "/api/workflows/{workflow_id}/graph",
    {
      params: {
        path: { workflow_id: run?.workflow_id ?? "" },
        query: { version: run?.workflow_version ?? 1 },
      },
    },
    { enabled: run !== undefined, staleTime: Infinity },
  );
}
