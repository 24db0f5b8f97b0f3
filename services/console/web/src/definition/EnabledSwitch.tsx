import { Switch, Tooltip } from "@mantine/core";
import { useMay } from "../shell/session";
import { useSetStatus, type WorkflowStatus } from "./useStatus";

/** Enabled: triggers start it. Not enabled: a draft, which runs by hand only. */
export function EnabledSwitch({
  workflowId,
  name,
  status,
  label,
}: {
  workflowId: string;
  name: string;
  status: WorkflowStatus;
  label?: string;
}) {
  const mayEdit = useMay("editor");
  const set = useSetStatus();
  const isOn = status === "active";
  return (
    <Tooltip
      label={
        status === "archived"
          ? "Archived: enable it to take it back"
          : isOn
            ? "Triggers start it"
            : "Triggers do not start it; by hand it runs"
      }
    >
      <span>
        <Switch
          size="sm"
          checked={isOn}
          disabled={!mayEdit || set.isPending}
          onChange={() => set.mutate({ workflowId, status: isOn ? "draft" : "active" })}
          data-testid={`enabled-${workflowId}`}
          {...(label === undefined ? { "aria-label": `${name} is enabled` } : { label })}
        />
      </span>
    </Tooltip>
  );
}
