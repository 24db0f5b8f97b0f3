/* What is chosen from what the server has. */
import { Select } from "@mantine/core";
import { api } from "../../../api/client";
import { textOf } from "../model/definition";
import type { FieldProps } from "./Field";

const CHOICES_MAX = 1_000;

interface ChoiceProps {
  label: string;
  description?: string | undefined;
  error: string | null;
  value: string;
  onChange: (value: string | undefined) => void;
  testId: string;
}

/** What is not among the choices stays, and can be seen: it may be saved later. */
function Choice({ choices, ...props }: ChoiceProps & { choices: { value: string; label: string }[] }) {
  const isKnown = props.value === "" || choices.some(({ value }) => value === props.value);
  return (
    <Select
      size="xs"
      label={props.label}
      description={props.description}
      error={props.error}
      value={props.value === "" ? null : props.value}
      onChange={(value) => props.onChange(value ?? undefined)}
      data={isKnown ? choices : [{ value: props.value, label: `${props.value} (not there yet)` }, ...choices]}
      searchable
      clearable
      limit={200}
      placeholder="Choose one"
      nothingFoundMessage="None of that name"
      data-testid={props.testId}
    />
  );
}

export function WorkflowSelect(props: ChoiceProps) {
  const workflows = api.useQuery("get", "/api/workflows", { params: { query: { limit: CHOICES_MAX } } });
  const choices = (workflows.data?.items ?? []).map(({ id, name }) => ({
    value: id,
    label: name === id ? id : `${name} (${id})`,
  }));
  return <Choice {...props} choices={choices} />;
}

export function WorkflowChoice({ spec, value, onChange, fault }: FieldProps) {
  return (
    <WorkflowSelect
      label={spec.label}
      description={spec.help}
      error={fault}
      value={textOf(value)}
      onChange={onChange}
      testId={`field-${spec.name}`}
    />
  );
}

export function Prompt({ spec, value, onChange, fault }: FieldProps) {
  const prompts = api.useQuery("get", "/api/prompts", { params: { query: { limit: CHOICES_MAX } } });
  const choices = (prompts.data?.items ?? []).map(({ id, name }) => ({
    value: id,
    label: name === "" || name === id ? id : `${name} (${id})`,
  }));
  return (
    <Choice
      label={spec.label}
      description={spec.help}
      error={fault}
      value={textOf(value)}
      onChange={onChange}
      testId={`field-${spec.name}`}
      choices={choices}
    />
  );
}
