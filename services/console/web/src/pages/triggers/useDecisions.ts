import { api } from "../../api/client";
import { byCursor, PAGE_SIZE } from "../../api/pages";
import { DECISIONS } from "../../triggers/decisions";

/** A trigger's decisions, newest first; of one cause also what is computed since nothing is on record. */
export function useDecisions(workflowId: string, triggerId: string, cause: string, decision: string) {
  const known = DECISIONS.find((one) => one === decision);
  return api.useInfiniteQuery(
    "get",
    "/api/workflows/{workflow_id}/triggers/{trigger_id}/decisions",
    {
      params: {
        path: { workflow_id: workflowId, trigger_id: triggerId },
        query: {
          limit: PAGE_SIZE,
          ...(cause === "" ? {} : { cause }),
          ...(known === undefined ? {} : { decision: known }),
        },
      },
    },
    byCursor,
  );
}
