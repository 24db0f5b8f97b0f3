/* The definition as its author would write it, to look at, to copy, to apply again. */
import { Button, CopyButton, Group, Stack, Text } from "@mantine/core";
import { IconCheck, IconCopy, IconDownload } from "@tabler/icons-react";
import { useMemo } from "react";
import { plain, toYaml } from "../../definition/plain";
import { Code } from "../../editor/Code";
import type { TabProps } from "./Workflow";

export function YamlTab({ workflow }: TabProps) {
  const text = useMemo(() => toYaml(plain(workflow)), [workflow]);
  return (
    <Stack gap="xs">
      <Group justify="space-between">
        <Text size="sm" c="dimmed">
          Version {workflow.version}, without defaults.{" "}
          <code className="ff-mono">flowforge apply -f FILE</code> saves it again.
        </Text>
        <Group gap="xs">
          <CopyButton value={text}>
            {({ copied, copy }) => (
              <Button
                variant="default"
                size="xs"
                onClick={copy}
                leftSection={
                  copied ? <IconCheck size={15} aria-hidden /> : <IconCopy size={15} aria-hidden />
                }
              >
                {copied ? "Copied" : "Copy"}
              </Button>
            )}
          </CopyButton>
          <Button
            variant="default"
            size="xs"
            component="a"
            href={`data:application/yaml;charset=utf-8,${encodeURIComponent(text)}`}
            download={`${workflow.id}.yaml`}
            leftSection={<IconDownload size={15} aria-hidden />}
          >
            Download
          </Button>
        </Group>
      </Group>
      <Code value={text} language="yaml" label={`Definition of ${workflow.name}`} isReadOnly height="auto" />
    </Stack>
  );
}
