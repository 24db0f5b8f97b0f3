/* The window around a trigger's form, wherever what it says goes. */
import { Button, Group, Modal } from "@mantine/core";
import type { ReactNode } from "react";
import { TriggerForm, type TriggerFormProps } from "./TriggerForm";

interface TriggerModalProps extends TriggerFormProps {
  onClose: () => void;
  onSubmit: () => void;
  /** The word on the button that takes over what changed; that of a new one is the same everywhere. */
  button: string;
  isBusy?: boolean;
  /** Beside the buttons. */
  note?: ReactNode;
  /** What is missing is found later. */
  isDraft?: boolean;
}

export function TriggerModal(props: TriggerModalProps) {
  const { onClose, onSubmit, button, isBusy = false, note, isDraft = false, ...form } = props;
  const { value, isNew } = form;
  return (
    <Modal
      opened
      onClose={onClose}
      size="xl"
      title={isNew ? "Add a trigger" : `Change ${value.name === "" ? value.id : value.name}`}
    >
      <form
        noValidate={isDraft}
        onSubmit={(event) => {
          event.preventDefault();
          onSubmit();
        }}
      >
        <TriggerForm {...form} />
        <Group justify="flex-end" mt="md">
          {note}
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" loading={isBusy}>
            {isNew ? "Add the trigger" : button}
          </Button>
        </Group>
      </form>
    </Modal>
  );
}
