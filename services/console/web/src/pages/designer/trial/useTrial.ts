/* A run that is watched without leaving the designer. */
import { useEffect, useMemo, useRef, useState } from "react";
import { api, type Schemas } from "../../../api/client";
import { countsOf, errorOf } from "../../../api/narrow";
import { paced, useLive } from "../../../api/live";
import type { Standing } from "../canvas/drawn";

const REFETCH_MS = 300;
const ENDED: ReadonlySet<string> = new Set(["completed", "failed", "cancelled", "partial"]);
const NONE: ReadonlyMap<string, Standing> = new Map();

export interface Trial {
  runId: string | null;
  run: Schemas["Run"] | undefined;
  standings: ReadonlyMap<string, Standing>;
  watch: (runId: string | null) => void;
}

export function useTrial(): Trial {
  const [runId, watch] = useState<string | null>(null);
  const query = api.useQuery(
    "get",
    "/api/runs/{run_id}",
    { params: { path: { run_id: runId ?? "" } } },
    { enabled: runId !== null },
  );
  const refetch = useRef<() => void>(() => undefined);
  useEffect(() => {
    refetch.current = paced(() => query.refetch(), REFETCH_MS);
    // eslint-disable-next-line react-hooks/exhaustive-deps -- one pace for each run
  }, [runId]);
  const run = runId === null ? undefined : query.data;
  const hasEnded = run !== undefined && ENDED.has(run.status);
  useLive(runId === null || hasEnded ? null : `/api/runs/${runId}/stream`, () => refetch.current());
  const standings = useMemo(
    () =>
      run === undefined
        ? NONE
        : new Map((run.node_runs ?? []).map((node) => [node.node_id, standingOf(node)])),
    [run],
  );
  return { runId, run, standings, watch };
}

function standingOf(node: Schemas["NodeRun"]): Standing {
  const error = errorOf(node.error)?.code ?? "";
  return {
    status: node.status,
    progress: node.progress,
    detail:
      error ||
      (node.attempt > 1
        ? `attempt ${node.attempt}`
        : (node.skip_reason?.replaceAll("_", " ") ?? node.progress_message ?? undefined)),
    instances: countsOf(node.instance_counts),
  };
}
