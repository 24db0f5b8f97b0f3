import { TextInput } from "@mantine/core";
import { useState } from "react";

interface IdFieldProps {
  id: string;
  label?: string;
  help?: string;
  fault: string | null;
  faultOf: (id: string) => string | null;
  onId: (id: string) => void;
  isFixed?: boolean;
}

/** An id takes effect when it is typed out: Enter, or leaving the field. */
export function IdField({ id, label = "Id", help, fault, faultOf, onId, isFixed = false }: IdFieldProps) {
  const [typed, setTyped] = useState<string | null>(null);
  const wrong = typed === null || typed === id ? null : faultOf(typed);
  const settle = () => {
    if (typed !== null && wrong === null && typed !== id) onId(typed);
    if (wrong === null) setTyped(null);
  };
  return (
    <TextInput
      size="xs"
      label={label}
      description={help}
      value={typed ?? id}
      error={wrong ?? fault}
      disabled={isFixed}
      onChange={({ currentTarget }) => setTyped(currentTarget.value)}
      onBlur={settle}
      onKeyDown={({ key }) => {
        if (key === "Enter") settle();
        if (key === "Escape") setTyped(null);
      }}
      styles={{ input: { fontFamily: "var(--mantine-font-family-monospace)" } }}
      data-testid="field-id"
    />
  );
}
