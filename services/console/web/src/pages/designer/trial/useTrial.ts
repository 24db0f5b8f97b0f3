/* A run that is watched without leaving the designer. */
import { useMemo, useState } from "react";
import { api, type Schemas } from "../../../api/client";
import { errorOf } from "../../../api/narrow";
import { paced, useLive } from "../../../api/live";
import { standingOf } from "../../../graph/standing";
import { ENDED } from "../../run/useRun";
import type { Standing } from "../canvas/drawn";

const REFETCH_MS = 300;
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
  const { refetch } = query;
  const refresh = useMemo(() => paced(() => refetch(), REFETCH_MS), [refetch]);
  const run = runId === null ? undefined : query.data;
  const hasEnded = run !== undefined && ENDED.has(run.status);
  useLive(runId === null || hasEnded ? null : `/api/runs/${runId}/stream`, refresh, refresh);
  const standings = useMemo(
    () =>
      run === undefined ? NONE : new Map((run.node_runs ?? []).map((node) => [node.node_id, detailed(node)])),
    [run],
  );
  return { runId, run, standings, watch };
}

function detailed(node: Schemas["NodeRun"]): Standing {
  const error = errorOf(node.error)?.code ?? "";
  return {
    ...standingOf(node),
    detail:
      error ||
      (node.attempt > 1
        ? `attempt ${node.attempt}`
        : (node.skip_reason?.replaceAll("_", " ") ?? node.progress_message ?? undefined)),
  };
}
