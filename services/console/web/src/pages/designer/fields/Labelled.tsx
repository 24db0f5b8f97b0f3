import { Input } from "@mantine/core";
import type { ReactNode } from "react";
import type { FieldSpec } from "./spec";

/** Label, help and fault around what is no plain input. */
export function Labelled({
  spec,
  fault,
  isGroup = false,
  children,
}: {
  spec: FieldSpec;
  fault: string | null;
  /** It has several controls, of which none has its label. */
  isGroup?: boolean;
  children: ReactNode;
}) {
  return (
    <Input.Wrapper
      label={spec.label}
      description={spec.help}
      error={fault}
      size="xs"
      required={spec.isRequired ?? false}
      labelElement="div"
      {...(isGroup ? { role: "group", "aria-label": spec.label } : {})}
      data-testid={`field-${spec.name}`}
    >
      {children}
    </Input.Wrapper>
  );
}
