/* Whether triggers may start a workflow: its status, saved as a new version of what it is now. */
import { useMutation } from "@tanstack/react-query";
import { http, type Schemas } from "../api/client";
import { written } from "./plain";

export type WorkflowStatus = "active" | "draft" | "archived";

interface Wanted {
  workflowId: string;
  status: WorkflowStatus;
}

/** Only what nobody has changed meanwhile: otherwise the server refuses, and says so. */
export async function saveStatus({ workflowId, status }: Wanted): Promise<void> {
  const { data } = await http.GET("/api/workflows/{workflow_id}", {
    params: { path: { workflow_id: workflowId } },
  });
  if (data === undefined) return;
  await http.PUT("/api/workflows/{workflow_id}", {
    params: { path: { workflow_id: workflowId }, header: { "If-Match": `"${data.version}"` } },
    body: { ...(written(data) as Schemas["Workflow"]), status },
  });
}

export function useSetStatus() {
  return useMutation({ mutationFn: saveStatus });
}
