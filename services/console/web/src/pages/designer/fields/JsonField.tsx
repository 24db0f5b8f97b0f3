/* A value as JSON; while what is typed is none, the value stays as it was. */
import { useState } from "react";
import { Code } from "../../../editor/Code";
import { readJson } from "../../../ui/readJson";
import { isEqual } from "../text/equal";
import type { FieldProps } from "./Field";
import { Labelled } from "./Labelled";

export function JsonField({ spec, value, onChange, fault }: FieldProps) {
  const [typed, setTyped] = useState<{ text: string; fault: string | null; value: unknown } | null>(null);
  const printed = value === undefined ? "" : JSON.stringify(value, null, 2);
  const isOwn = typed !== null && (typed.fault !== null || isEqual(typed.value, value));
  const type = (text: string) => {
    const got = parsed(text);
    setTyped({ text, ...got });
    if (got.fault === null && !isEqual(got.value, value)) onChange(got.value);
  };
  return (
    <Labelled spec={spec} fault={typed?.fault ?? fault}>
      <Code
        label={spec.label}
        language="json"
        value={isOwn ? typed.text : printed}
        onChange={type}
        height="130px"
      />
    </Labelled>
  );
}

function parsed(text: string): { value: unknown; fault: string | null } {
  if (text.trim() === "") return { value: undefined, fault: null };
  const got = readJson(text);
  return got.isSound ? { value: got.value, fault: null } : { value: undefined, fault: got.fault };
}
