/* What a run is given: a form where the schema is simple, else JSON; or JSON where somebody prefers it. */
import { SegmentedControl, Text } from "@mantine/core";
import { useState, type ReactNode } from "react";
import { Code } from "../editor/Code";
import { SchemaFields } from "./SchemaFields";
import { fieldsOf, initialValues, inputOf, missing, parsed, type FieldValue } from "./schemaForm";

const EDITOR_HEIGHT = "160px";

interface RunInput {
  editor: ReactNode;
  /** The input as it stands, or what is wrong with it. */
  read: () => { value: unknown } | { fault: string };
}

export function useRunInput(schema: unknown): RunInput {
  const fields = fieldsOf(schema);
  const [kind, setKind] = useState<"form" | "json">(fields === null ? "json" : "form");
  const [values, setValues] = useState<Record<string, FieldValue>>(() => initialValues(fields ?? []));
  const [text, setText] = useState("");
  const isForm = kind === "form" && fields !== null;
  const change = (next: string) => {
    if (next === "json" && fields !== null) setText(JSON.stringify(inputOf(fields, values), null, 2));
    setKind(next as "form" | "json");
  };
  const read = () => {
    if (!isForm) return parsed(text);
    const lacking = missing(fields, values);
    if (lacking.length > 0) return { fault: `Please fill in: ${lacking.join(", ")}.` };
    return { value: inputOf(fields, values) };
  };
  const editor = (
    <>
      {fields === null ? (
        <Text size="sm">Input, as JSON. Nothing written means an empty object.</Text>
      ) : (
        <SegmentedControl
          aria-label="How to write the input"
          value={kind}
          onChange={change}
          data={[
            { value: "form", label: "Form" },
            { value: "json", label: "JSON" },
          ]}
          size="xs"
          style={{ alignSelf: "flex-start" }}
        />
      )}
      {isForm ? (
        <SchemaFields fields={fields} values={values} onChange={setValues} />
      ) : (
        <div style={{ height: EDITOR_HEIGHT }}>
          <Code
            value={text}
            onChange={setText}
            language="json"
            label="Input"
            placeholder="{}"
            height={EDITOR_HEIGHT}
          />
        </div>
      )}
    </>
  );
  return { editor, read };
}
