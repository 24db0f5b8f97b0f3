/* A run as it is now, kept up to date by its own stream while it goes on; and its moments, as far as they are known. */
import { useQuery, type UseQueryResult } from "@tanstack/react-query";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { api, getJson, http, noteWritten, type Schemas } from "../../api/client";
import { firstEvent, paced, useLive, type LoggedEvent } from "../../api/live";
import { areAllKnown, NO_MOMENTS, withEvents, type Moments } from "./moments";

export type Run = Schemas["Run"];

/** How often a run that goes on is read anew, at most. */
const READ_EACH_MS = 300;
const MOMENTS_PAGE = 1_000;

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
  const { moments, want, join } = useMoments(runId, run?.position ?? null);
  const onEvents = useCallback(
    (events: LoggedEvent[]) => {
      noteWritten(events.at(-1)?.position ?? 0);
      join(events);
      read();
    },
    [join, read],
  );
  const isUnderWay = run !== undefined && !ENDED.has(run.status);
  useLive(isUnderWay ? `/api/runs/${runId}/stream` : null, onEvents, read, run?.position);
  return { query: query as UseQueryResult<Run>, moments, want };
}

/** The first page at once, the last moment beside; the others page by page once they are wanted. */
function useMoments(runId: string, lastPosition: number | null) {
  const [moments, setMoments] = useState<Moments>(NO_MOMENTS);
  const [isWanted, setWanted] = useState(false);
  const cursor = useRef<string | null | undefined>(undefined);
  const join = useCallback(
    (events: readonly LoggedEvent[]) => setMoments((before) => withEvents(before, events)),
    [],
  );
  const latest = useRef(lastPosition);
  useEffect(() => {
    latest.current = lastPosition;
  });
  const isBegun = lastPosition !== null;
  useEffect(() => {
    if (!isBegun) return;
    const stop = new AbortController();
    cursor.current = undefined;
    void readPage(runId, undefined, stop.signal).then((page) => {
      if (page === null) return;
      cursor.current = page.next_cursor ?? null;
      setMoments(withEvents(NO_MOMENTS, page.items));
    });
    return () => stop.abort();
  }, [runId, isBegun]);
  const isFirstThere = moments.head.length > 0;
  const isWhole = areAllKnown(moments);
  useEffect(() => {
    const position = latest.current;
    if (!isFirstThere || position === null || typeof cursor.current !== "string") return;
    const stop = new AbortController();
    void firstEvent(`/api/runs/${runId}/stream`, position - 1, stop.signal).then((event) => {
      if (event !== null) join([event]);
    });
    return () => stop.abort();
  }, [runId, isFirstThere, join]);
  useEffect(() => {
    if (!isWanted || !isFirstThere || isWhole) return;
    const stop = new AbortController();
    const load = async () => {
      while (!stop.signal.aborted && typeof cursor.current === "string") {
        const page = await readPage(runId, cursor.current, stop.signal);
        if (page === null) return;
        cursor.current = page.next_cursor ?? null;
        join(page.items);
      }
    };
    void load();
    return () => stop.abort();
  }, [runId, isWanted, isFirstThere, isWhole, join]);
  const want = useCallback(() => setWanted(true), []);
  return { moments, want, join };
}

async function readPage(run_id: string, cursor: string | undefined, signal: AbortSignal) {
  const query = { limit: MOMENTS_PAGE, ...(cursor === undefined ? {} : { cursor }) };
  const answer = await http
    .GET("/api/runs/{run_id}/events", { params: { path: { run_id }, query }, signal })
    .catch(() => null);
  return answer?.data ?? null;
}

/** The run as it was at a position; what is past stays as it is. */
export function useStateAt(runId: string, at: number | null): UseQueryResult<Run> {
  return useQuery({ ...stateAt(runId, at ?? 0), enabled: at !== null, placeholderData: (before) => before });
}

/** For `useQuery` and for fetching ahead. */
export function stateAt(runId: string, at: number) {
  return {
    queryKey: ["state", runId, at],
    queryFn: ({ signal }: { signal: AbortSignal }) =>
      getJson<Run>(`/api/runs/${runId}/state?at=${at}`, signal),
    staleTime: Infinity,
    gcTime: 60_000,
  };
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
