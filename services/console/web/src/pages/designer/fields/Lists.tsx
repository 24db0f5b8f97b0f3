/* Fields that are lists: of nodes, branches, ports, variables, workflows. */
import {
  ActionIcon,
  Button,
  Checkbox,
  Group,
  MultiSelect,
  NativeSelect,
  Select,
  Stack,
  TextInput,
} from "@mantine/core";
import { IconPlus, IconTrash } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { typedOf, valueOf } from "../model/cells";
import { isFields, listOf, textOf, textsOf, withKey, type Fields } from "../model/definition";
import { pathOf } from "../model/nodes";
import { ExpressionLine } from "./Expression";
import type { FieldProps } from "./Field";
import { Labelled } from "./Labelled";

export function Nodes({ spec, value, onChange, fault, nodes }: FieldProps) {
  return (
    <MultiSelect
      size="xs"
      label={spec.label}
      description={spec.help}
      error={fault}
      value={textsOf(value)}
      onChange={(ids) => onChange(pathOf(ids))}
      data={nodes.map(({ id, label }) => ({ value: id, label }))}
      searchable
      limit={200}
      placeholder={textsOf(value).length === 0 ? "Nothing" : ""}
      data-testid={`field-${spec.name}`}
    />
  );
}

export function OneNode({ spec, value, onChange, fault, nodes }: FieldProps) {
  const fitting = nodes.filter(({ type }) => spec.type === undefined || type === spec.type);
  return (
    <Select
      size="xs"
      label={spec.label}
      description={spec.help}
      error={fault}
      value={textOf(value) || null}
      onChange={(id) => onChange(id ?? undefined)}
      data={fitting.map(({ id, label }) => ({ value: id, label }))}
      searchable
      placeholder="Choose one"
      nothingFoundMessage={`There is no ${spec.type ?? "node"} yet`}
      data-testid={`field-${spec.name}`}
    />
  );
}

/** Rows that can be added, changed and removed. */
function RowsOf(
  props: FieldProps & {
    start: Fields;
    what: string;
    row: (item: Fields, change: (field: string, value: unknown) => void, index: number) => ReactNode;
  },
) {
  const { spec, value, onChange, fault, start, what, row } = props;
  const items = listOf(value).filter(isFields);
  const put = (next: Fields[]) => onChange(next.length === 0 ? undefined : next);
  const change = (index: number) => (field: string, next: unknown) => {
    put(items.map((item, at) => (at === index ? withKey(item, field, next) : item)));
  };
  return (
    <Labelled spec={spec} fault={fault} isGroup>
      <Stack gap={8}>
        {items.map((item, index) => (
          <Group key={index} gap={4} wrap="nowrap" align="flex-start">
            <Stack gap={4} style={{ flex: 1, minWidth: 0 }}>
              {row(item, change(index), index)}
            </Stack>
            <ActionIcon
              variant="subtle"
              color="gray"
              aria-label={`Remove ${what} ${index + 1}`}
              onClick={() => put(items.filter((_item, at) => at !== index))}
            >
              <IconTrash size={15} />
            </ActionIcon>
          </Group>
        ))}
        <Button
          variant="default"
          size="compact-xs"
          leftSection={<IconPlus size={13} />}
          onClick={() => put([...items, start])}
          style={{ alignSelf: "flex-start" }}
        >
          Add a {what}
        </Button>
      </Stack>
    </Labelled>
  );
}

export function Branches(props: FieldProps) {
  const choices = props.nodes.map(({ id, label }) => ({ value: id, label }));
  return (
    <RowsOf
      {...props}
      start={{ target_node_id: "" }}
      what="branch"
      row={(branch, change, index) => (
        <>
          <Group gap={4} wrap="nowrap">
            <TextInput
              size="xs"
              aria-label={`Name of branch ${index + 1}`}
              placeholder="name"
              value={textOf(branch["name"])}
              onChange={({ currentTarget }) => change("name", currentTarget.value || undefined)}
            />
            <Select
              size="xs"
              aria-label={`Branch ${index + 1} begins at`}
              placeholder="begins at"
              data={choices}
              value={textOf(branch["target_node_id"]) || null}
              onChange={(id) => change("target_node_id", id ?? "")}
              searchable
            />
          </Group>
          <ExpressionLine
            label={`Input of branch ${index + 1}`}
            names={props.names}
            text={typedOf(branch["input_data"])}
            onText={(text) => change("input_data", text === "" ? undefined : valueOf(text))}
            mode="template"
            placeholder="its input, ${…}"
          />
        </>
      )}
    />
  );
}

const TYPES = ["string", "number", "boolean", "object", "array"];

export function Ports(props: FieldProps) {
  return (
    <RowsOf
      {...props}
      start={{ name: "value" }}
      what="port"
      row={(port, change, index) => (
        <Group gap={6} wrap="nowrap" align="center">
          <TextInput
            size="xs"
            aria-label={`Name of port ${index + 1}`}
            value={textOf(port["name"])}
            onChange={({ currentTarget }) => change("name", currentTarget.value || undefined)}
          />
          <NativeSelect
            size="xs"
            aria-label={`Type of port ${index + 1}`}
            data={["any", ...TYPES]}
            value={textOf(port["type"]) || "any"}
            onChange={({ currentTarget: { value } }) => change("type", value === "any" ? undefined : value)}
          />
          <Checkbox
            size="xs"
            label="must be"
            checked={port["required"] !== false}
            onChange={({ currentTarget }) => change("required", currentTarget.checked ? undefined : false)}
          />
        </Group>
      )}
    />
  );
}

function isText(variable: Fields): boolean {
  return (textOf(variable["type"]) || "string") === "string";
}

export function Variables(props: FieldProps) {
  return (
    <RowsOf
      {...props}
      start={{ name: "my_variable", type: "string", default_value: "" }}
      what="variable"
      row={(variable, change, index) => (
        <>
          <Group gap={4} wrap="nowrap">
            <TextInput
              size="xs"
              aria-label={`Name of variable ${index + 1}`}
              value={textOf(variable["name"])}
              onChange={({ currentTarget }) => change("name", currentTarget.value || undefined)}
            />
            <NativeSelect
              size="xs"
              aria-label={`Type of variable ${index + 1}`}
              data={TYPES}
              value={textOf(variable["type"]) || "string"}
              onChange={({ currentTarget }) => change("type", currentTarget.value)}
            />
          </Group>
          <TextInput
            size="xs"
            aria-label={`Default of variable ${index + 1}`}
            placeholder="default"
            value={isText(variable) ? textOf(variable["default_value"]) : typedOf(variable["default_value"])}
            onChange={({ currentTarget: { value } }) =>
              change("default_value", isText(variable) ? value : valueOf(value))
            }
          />
          <TextInput
            size="xs"
            aria-label={`Description of variable ${index + 1}`}
            placeholder="what it is for"
            value={textOf(variable["description"])}
            onChange={({ currentTarget }) => change("description", currentTarget.value || undefined)}
          />
        </>
      )}
    />
  );
}
