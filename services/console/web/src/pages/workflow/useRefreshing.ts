import { useQueryClient } from "@tanstack/react-query";
import { useMemo } from "react";
import { paced } from "../../api/live";

const REFRESH_MS = 700;

/** Ask anew for what is shown of a workflow, now and then while things happen. */
export function useRefreshing(workflowId: string): () => void {
  const client = useQueryClient();
  return useMemo(() => {
    const isOfIt = (key: readonly unknown[]) => JSON.stringify(key).includes(JSON.stringify(workflowId));
    return paced(
      () => client.refetchQueries({ type: "active", predicate: ({ queryKey }) => isOfIt(queryKey) }),
      REFRESH_MS,
    );
  }, [client, workflowId]);
}
