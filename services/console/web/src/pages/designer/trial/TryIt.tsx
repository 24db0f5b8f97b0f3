import { Alert, Button, Group, Modal, Stack, Text } from "@mantine/core";
import { IconPlayerPlay } from "@tabler/icons-react";
import { useState } from "react";
import { useRunInput } from "../../../run-dialog/useRunInput";
import type { Definition } from "../model/definition";

interface TryItProps {
  definition: Definition;
  /** What has to be said about saving first; null where it is saved. */
  savesAs: string | null;
  isFaulty: boolean;
  isBusy: boolean;
  onRun: (input: unknown) => void;
  onClose: () => void;
}

/** Runs it once, with a test input. */
export function TryIt({ definition, savesAs, isFaulty, isBusy, onRun, onClose }: TryItProps) {
  const input = useRunInput(definition["input_schema"]);
  const [fault, setFault] = useState<string | null>(null);
  const run = () => {
    const given = input.read();
    setFault("fault" in given ? given.fault : null);
    if ("value" in given) onRun(given.value);
  };
  return (
    <Modal opened onClose={onClose} title="Try it" size="lg">
      <form
        data-testid="try-it"
        onSubmit={(event) => {
          event.preventDefault();
          if (!isFaulty) run();
        }}
      >
        <Stack>
          {input.editor}
          {fault === null ? null : (
            <Alert color="red" role="alert">
              {fault}
            </Alert>
          )}
          {isFaulty ? (
            <Alert color="red" variant="light">
              <Text size="sm">It has faults, and is not saved with them: mend them first.</Text>
            </Alert>
          ) : savesAs === null ? null : (
            <Text size="sm">A run needs a saved version: {savesAs}.</Text>
          )}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button
              type="submit"
              leftSection={<IconPlayerPlay size={16} />}
              loading={isBusy}
              disabled={isFaulty}
            >
              {savesAs === null ? "Run" : "Save and run"}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
