/* Names and templates, in a table; or one template for all of it. */
import { ActionIcon, Anchor, Button, Group, Stack, Text, TextInput } from "@mantine/core";
import { IconPlus, IconTrash } from "@tabler/icons-react";
import { useState } from "react";
import { typedOf, valueOf } from "../model/cells";
import { isFields, type Fields } from "../model/definition";
import { ExpressionLine } from "./Expression";
import type { FieldProps } from "./Field";
import { Labelled } from "./Labelled";

export function Templates(props: FieldProps) {
  const { spec, value, onChange, fault } = props;
  const isTable = value === undefined || value === null || isFields(value);
  const [isOneWanted, setOneWanted] = useState(!isTable);
  const isOne = isOneWanted || !isTable;
  return (
    <Labelled spec={spec} fault={fault} isGroup>
      {isOne ? (
        <ExpressionLine
          label={spec.label}
          names={props.names}
          text={value === undefined || value === null ? "" : typedOf(value)}
          onText={(text) => onChange(text === "" ? undefined : valueOf(text))}
          mode="template"
          placeholder="${input}"
        />
      ) : (
        <Table {...props} of={isFields(value) ? value : {}} />
      )}
      {spec.columns !== undefined || (isTable && Object.keys(value ?? {}).length > 0) ? null : (
        <Anchor
          component="button"
          type="button"
          size="xs"
          onClick={() => {
            if (!isTable) onChange(undefined);
            setOneWanted(!isOne);
          }}
        >
          {isOne ? "As names and values" : "As one value"}
        </Anchor>
      )}
    </Labelled>
  );
}

function Table({ spec, of, onChange, names }: FieldProps & { of: Fields }) {
  const [nameLabel, valueLabel] = spec.columns ?? ["Name", "Value"];
  const entries = Object.entries(of);
  const put = (next: [string, unknown][]) => {
    onChange(next.length === 0 ? undefined : Object.fromEntries(next));
  };
  const unused = () => {
    for (let number = entries.length + 1; ; number += 1) if (!(`name${number}` in of)) return `name${number}`;
  };
  return (
    <Stack gap={6}>
      {entries.map(([name, value], index) => (
        <Group key={index} gap={4} wrap="nowrap" align="flex-start">
          <RowName
            name={name}
            label={`${spec.label}: ${nameLabel.toLowerCase()} ${index + 1}`}
            isTaken={(wanted) => wanted !== name && wanted in of}
            onName={(wanted) => put(entries.map(([old, one], at) => [at === index ? wanted : old, one]))}
          />
          <div style={{ flex: 1, minWidth: 0 }}>
            <ExpressionLine
              label={`${spec.label}: ${valueLabel.toLowerCase()} of ${name}`}
              names={names}
              text={typedOf(value)}
              onText={(text) =>
                put(entries.map(([old, one], at) => [old, at === index ? valueOf(text) : one]))
              }
              mode="template"
            />
          </div>
          <ActionIcon
            variant="subtle"
            color="gray"
            aria-label={`Remove ${name}`}
            onClick={() => put(entries.filter((_entry, at) => at !== index))}
          >
            <IconTrash size={15} />
          </ActionIcon>
        </Group>
      ))}
      {entries.length === 0 ? (
        <Text size="xs" c="dimmed">
          none
        </Text>
      ) : null}
      <Button
        variant="default"
        size="compact-xs"
        leftSection={<IconPlus size={13} />}
        onClick={() => put([...entries, [unused(), ""]])}
        style={{ alignSelf: "flex-start" }}
        aria-label={`Add to ${spec.label}`}
      >
        Add
      </Button>
    </Stack>
  );
}

/** A name is set when it is typed out, so that it never meets another on the way. */
function RowName(props: {
  name: string;
  label: string;
  isTaken: (name: string) => boolean;
  onName: (name: string) => void;
}) {
  const [typed, setTyped] = useState<string | null>(null);
  const wanted = typed ?? props.name;
  const isWrong = wanted === "" || props.isTaken(wanted);
  const settle = () => {
    if (typed !== null && !isWrong && typed !== props.name) props.onName(typed);
    setTyped(null);
  };
  return (
    <TextInput
      aria-label={props.label}
      size="xs"
      w={104}
      value={wanted}
      error={typed !== null && isWrong}
      onChange={({ currentTarget }) => setTyped(currentTarget.value)}
      onBlur={settle}
      onKeyDown={({ key }) => {
        if (key === "Enter") settle();
      }}
      styles={{ input: { fontFamily: "var(--mantine-font-family-monospace)" } }}
    />
  );
}
