import { Button, Group, Modal, Text } from "@mantine/core";
import type { ReactNode } from "react";

interface ConfirmProps {
  title: string;
  /** What the button says. */
  deed: string;
  isBusy: boolean;
  onDo: () => void;
  onClose: () => void;
  children: ReactNode;
}

/** Asks before what cannot be taken back. */
export function Confirm({ title, deed, isBusy, onDo, onClose, children }: ConfirmProps) {
  return (
    <Modal opened onClose={onClose} title={title} closeButtonProps={{ "aria-label": "Close" }}>
      <Text size="sm" component="div">
        {children}
      </Text>
      <Group justify="flex-end" mt="md">
        <Button variant="default" onClick={onClose} data-autofocus>
          Cancel
        </Button>
        <Button color="red" loading={isBusy} onClick={onDo}>
          {deed}
        </Button>
      </Group>
    </Modal>
  );
}
