/* A question before what cannot be taken back. */
import { Button, Group, Modal, Stack, Text } from "@mantine/core";
import { useState, type ReactNode } from "react";

interface ConfirmedProps {
  title: string;
  text: ReactNode;
  /** The word on the button that does it. */
  button: string;
  isHarmless?: boolean;
  onYes: () => void;
  /** What asks: it is given the function that opens the question. */
  children: (ask: () => void) => ReactNode;
}

export function Confirmed({ title, text, button, isHarmless = false, onYes, children }: ConfirmedProps) {
  const [isAsked, setAsked] = useState(false);
  const close = () => setAsked(false);
  return (
    <>
      {children(() => setAsked(true))}
      <Modal opened={isAsked} onClose={close} title={title}>
        <Stack>
          <Text size="sm" component="div">
            {text}
          </Text>
          <Group justify="flex-end">
            <Button variant="default" onClick={close} data-autofocus>
              No
            </Button>
            <Button
              {...(isHarmless ? {} : { color: "red" })}
              onClick={() => {
                close();
                onYes();
              }}
            >
              {button}
            </Button>
          </Group>
        </Stack>
      </Modal>
    </>
  );
}
