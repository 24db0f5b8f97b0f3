import { Alert, Button, Code, CopyButton, Group, Modal, Stack, Text } from "@mantine/core";
import { IconCheck, IconCopy } from "@tabler/icons-react";

interface ShownOnceProps {
  title: string;
  /** What nobody can read later. */
  value: string;
  what: string;
  children: React.ReactNode;
  onClose: () => void;
}

/** A key or a link, to be copied now. */
export function ShownOnce({ title, value, what, children, onClose }: ShownOnceProps) {
  return (
    <Modal opened onClose={onClose} title={title} closeOnClickOutside={false} size="lg">
      <Stack gap="sm">
        <Alert color="yellow" title="It is shown this once">
          <Text size="sm">
            Copy it now: FlowForge keeps only a fingerprint, and nobody can read it later.
          </Text>
        </Alert>
        <Code block data-testid="shown-once" style={{ overflowWrap: "anywhere", whiteSpace: "pre-wrap" }}>
          {value}
        </Code>
        <Text size="sm" component="div">
          {children}
        </Text>
        <Group justify="flex-end">
          <CopyButton value={value}>
            {({ copied, copy }) => (
              <Button
                variant="default"
                onClick={copy}
                leftSection={
                  copied ? <IconCheck size={16} aria-hidden /> : <IconCopy size={16} aria-hidden />
                }
              >
                {copied ? "Copied" : `Copy the ${what}`}
              </Button>
            )}
          </CopyButton>
          <Button onClick={onClose}>Done</Button>
        </Group>
      </Stack>
    </Modal>
  );
}
