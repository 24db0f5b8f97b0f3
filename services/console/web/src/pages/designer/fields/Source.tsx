/* Scripts and queries. */
import { Button, Modal } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconArrowsMaximize } from "@tabler/icons-react";
import { Code } from "../../../editor/Code";
import { textOf } from "../model/definition";
import type { FieldProps } from "./Field";
import { Labelled } from "./Labelled";

export function Source({ spec, value, onChange, fault }: FieldProps) {
  const [isLarge, { open, close }] = useDisclosure();
  const editor = (height: string) => (
    <Code label={spec.label} language="text" value={textOf(value)} onChange={onChange} height={height} />
  );
  return (
    <Labelled spec={spec} fault={fault}>
      {isLarge ? null : editor("210px")}
      <Button
        mt={6}
        variant="default"
        size="compact-xs"
        leftSection={<IconArrowsMaximize size={13} />}
        onClick={open}
      >
        Edit in a larger window
      </Button>
      <Modal opened={isLarge} onClose={close} size="80%" title={spec.label}>
        {editor("65vh")}
      </Modal>
    </Labelled>
  );
}
