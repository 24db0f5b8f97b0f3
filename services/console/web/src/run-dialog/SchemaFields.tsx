import { NumberInput, Select, Stack, Switch, TextInput } from "@mantine/core";
import type { Field, FieldValue } from "./schemaForm";

interface SchemaFieldsProps {
  fields: Field[];
  values: Record<string, FieldValue>;
  onChange: (values: Record<string, FieldValue>) => void;
}

export function SchemaFields({ fields, values, onChange }: SchemaFieldsProps) {
  return (
    <Stack gap="xs">
      {fields.map((field) => (
        <One
          key={field.name}
          field={field}
          value={values[field.name] ?? null}
          onChange={(value) => onChange({ ...values, [field.name]: value })}
        />
      ))}
    </Stack>
  );
}

function One({
  field,
  value,
  onChange,
}: {
  field: Field;
  value: FieldValue;
  onChange: (value: FieldValue) => void;
}) {
  const description = field.description === "" ? undefined : field.description;
  if (field.kind === "boolean") {
    return (
      <Switch
        label={field.label}
        description={description}
        checked={value === true}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
    );
  }
  const told = { label: field.label, description, withAsterisk: field.isRequired };
  if (field.kind === "choice") {
    return (
      <Select
        {...told}
        data={field.choices}
        value={value === null ? null : String(value)}
        onChange={onChange}
        clearable
      />
    );
  }
  if (field.kind === "text") {
    return (
      <TextInput
        {...told}
        value={value === null ? "" : String(value)}
        onChange={(event) => onChange(event.currentTarget.value)}
      />
    );
  }
  return (
    <NumberInput
      {...told}
      value={typeof value === "number" ? value : ""}
      allowDecimal={field.kind === "number"}
      onChange={(next) => onChange(typeof next === "number" ? next : null)}
    />
  );
}
