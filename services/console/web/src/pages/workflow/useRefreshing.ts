import { useQueryClient } from "@tanstack/react-query";
import { useMemo } from "react";
import { paced } from "../../api/live";

const REFRESH_MS = 700;

/** A run whose states are on the graph: its address does not name the workflow. */
const CHOSEN_RUN = "/api/runs/{run_id}";

/** Ask anew for what is shown of a workflow, now and then while things happen. */
export function useRefreshing(workflowId: string): () => void {
  const client = useQueryClient();
  return useMemo(() => {
    const isOfIt = (key: readonly unknown[]) =>
      key.includes(CHOSEN_RUN) || JSON.stringify(key).includes(JSON.stringify(workflowId));
    return paced(
      () => client.refetchQueries({ type: "active", predicate: ({ queryKey }) => isOfIt(queryKey) }),
      REFRESH_MS,
    );
  }, [client, workflowId]);
}
