import { ActionIcon, Button, Menu } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconDots, IconPencil, IconPlayerPlay, IconTrash } from "@tabler/icons-react";
import { useNavigate } from "react-router";
import { api } from "../../api/client";
import { useMay } from "../../shell/session";
import type { Trigger } from "../../triggers/trigger";
import { TriggerDialog } from "../../triggers/TriggerDialog";
import { Confirm } from "../../ui/Confirm";
import { say } from "../../ui/say";
import { FireByHand } from "./FireByHand";
import { TriggerSwitch } from "./TriggerSwitch";

interface ActionsProps {
  workflowId: string;
  trigger: Trigger;
  definition: unknown;
}

export function Actions({ workflowId, trigger, definition }: ActionsProps) {
  const go = useNavigate();
  const mayEdit = useMay("editor");
  const mayRun = useMay("operator");
  const [isEdited, edit] = useDisclosure();
  const [isFired, fire] = useDisclosure();
  const [isRemoved, remove] = useDisclosure();
  const removal = api.useMutation("delete", "/api/workflows/{workflow_id}/triggers/{trigger_id}", {
    onSuccess: () => {
      say("Its decisions stay on record.", `Trigger ${trigger.id} deleted`);
      void go(`/workflows/${workflowId}/triggers`);
    },
  });
  const path = { workflow_id: workflowId, trigger_id: trigger.id };
  return (
    <>
      <TriggerSwitch workflowId={workflowId} triggerId={trigger.id} isOn={trigger.enabled} hasLabel />
      {mayRun ? (
        <Button
          variant="default"
          leftSection={<IconPlayerPlay size={16} aria-hidden />}
          onClick={fire.open}
          disabled={!trigger.enabled}
        >
          Fire by hand
        </Button>
      ) : null}
      {mayEdit ? (
        <>
          <Button variant="default" leftSection={<IconPencil size={16} aria-hidden />} onClick={edit.open}>
            Edit
          </Button>
          <Menu position="bottom-end">
            <Menu.Target>
              <ActionIcon variant="default" size={36} aria-label="More to do with this trigger">
                <IconDots size={16} />
              </ActionIcon>
            </Menu.Target>
            <Menu.Dropdown>
              <Menu.Item color="red" leftSection={<IconTrash size={16} aria-hidden />} onClick={remove.open}>
                Delete the trigger
              </Menu.Item>
            </Menu.Dropdown>
          </Menu>
        </>
      ) : null}
      {isEdited ? (
        <TriggerDialog workflowId={workflowId} definition={definition} takenIds={[]} onClose={edit.close} />
      ) : null}
      {isFired ? <FireByHand workflowId={workflowId} triggerId={trigger.id} onClose={fire.close} /> : null}
      {isRemoved ? (
        <Confirm
          title={`Delete the trigger ${trigger.name === "" ? trigger.id : trigger.name}?`}
          deed="Delete"
          isBusy={removal.isPending}
          onClose={remove.close}
          onDo={() => removal.mutate({ params: { path } })}
        >
          It starts no more runs. What it decided stays on record, and the workflow gets a new version that
          can be rolled back.
        </Confirm>
      ) : null}
    </>
  );
}
