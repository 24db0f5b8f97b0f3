import { Switch, Text } from "@mantine/core";
import { api } from "../../api/client";
import { useMay } from "../../shell/session";

interface TriggerSwitchProps {
  workflowId: string;
  triggerId: string;
  isOn: boolean;
  hasLabel?: boolean;
}

/** Whether the trigger is in force; a switch for those who may turn it. */
export function TriggerSwitch({ workflowId, triggerId, isOn, hasLabel = false }: TriggerSwitchProps) {
  const mayEdit = useMay("editor");
  const change = api.useMutation("patch", "/api/workflows/{workflow_id}/triggers/{trigger_id}");
  if (!mayEdit)
    return (
      <Text size="sm" span>
        {isOn ? "On" : "Off"}
      </Text>
    );
  return (
    <Switch
      checked={change.isPending ? !isOn : isOn}
      disabled={change.isPending}
      label={hasLabel ? (isOn ? "On" : "Off") : undefined}
      aria-label={`Trigger ${triggerId} of ${workflowId}`}
      onChange={({ currentTarget }) =>
        change.mutate({
          params: { path: { workflow_id: workflowId, trigger_id: triggerId } },
          body: { enabled: currentTarget.checked },
        })
      }
      styles={{ root: { display: "inline-flex" } }}
    />
  );
}
