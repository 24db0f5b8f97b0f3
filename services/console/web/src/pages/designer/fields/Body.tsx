import { Button, Group, Text } from "@mantine/core";
import { IconArrowsDiagonal } from "@tabler/icons-react";
import { listOf, fieldsOf } from "../model/definition";
import { useDesign } from "../useDesign";
import type { FieldProps } from "./Field";
import { Labelled } from "./Labelled";

/** A loop's body has a canvas of its own. */
export function Body({ spec, value, fault, ownerId }: FieldProps) {
  const { scope, open } = useDesign();
  const count = listOf(fieldsOf(value)["nodes"]).length;
  return (
    <Labelled spec={spec} fault={fault} isGroup>
      <Group gap="xs">
        <Button
          size="compact-sm"
          leftSection={<IconArrowsDiagonal size={15} />}
          onClick={() => open([...scope, ownerId])}
        >
          Open the body
        </Button>
        <Text size="xs">{count === 1 ? "1 node" : `${count} nodes`}</Text>
      </Group>
    </Labelled>
  );
}
