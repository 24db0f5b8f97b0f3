import { ActionIcon, Button } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconPencil, IconPlayerPlay, IconTrash } from "@tabler/icons-react";
import { useNavigate } from "react-router";
import { api } from "../../api/client";
import { useMay } from "../../shell/session";
import type { Trigger } from "../../triggers/trigger";
import { TriggerDialog } from "../../triggers/TriggerDialog";
import { Confirmed } from "../../ui/Confirmed";
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
          <Confirmed
            title={`Delete the trigger ${trigger.name === "" ? trigger.id : trigger.name}?`}
            text="It starts no more runs. What it decided stays on record, and the workflow gets a new version, which can be rolled back."
            button="Delete"
            onYes={() => removal.mutate({ params: { path } })}
          >
            {(ask) => (
              <ActionIcon
                variant="default"
                size={36}
                onClick={ask}
                loading={removal.isPending}
                aria-label="Delete the trigger"
              >
                <IconTrash size={16} />
              </ActionIcon>
            )}
          </Confirmed>
        </>
      ) : null}
      {isEdited ? (
        <TriggerDialog workflowId={workflowId} definition={definition} takenIds={[]} onClose={edit.close} />
      ) : null}
      {isFired ? <FireByHand workflowId={workflowId} triggerId={trigger.id} onClose={fire.close} /> : null}
    </>
  );
}
