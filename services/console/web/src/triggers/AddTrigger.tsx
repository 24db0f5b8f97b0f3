import { Button } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconPlus } from "@tabler/icons-react";
import { TriggerDialog } from "./TriggerDialog";

interface AddTriggerProps {
  workflowId: string;
  /** Of the triggers that the workflow has. */
  takenIds: string[];
  onSaved?: (triggerId: string) => void;
}

/** The button, always there, and its dialog. */
export function AddTrigger({ workflowId, takenIds, onSaved }: AddTriggerProps) {
  const [isOpen, { open, close }] = useDisclosure();
  return (
    <>
      <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={open} data-testid="add-trigger">
        {takenIds.length === 0 ? "Add a trigger" : "Add another trigger"}
      </Button>
      {isOpen ? (
        <TriggerDialog
          workflowId={workflowId}
          takenIds={takenIds}
          onClose={close}
          {...(onSaved === undefined ? {} : { onSaved })}
        />
      ) : null}
    </>
  );
}
