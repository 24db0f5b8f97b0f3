/* One field, as its kind is typed. */
import { NativeSelect, NumberInput, Switch, TagsInput, Textarea, TextInput } from "@mantine/core";
import { DurationInput } from "../../../ui/DurationInput";
import type { Names } from "../check/names";
import { fieldsOf, textOf, textsOf } from "../model/definition";
import { typedOf, valueOf } from "../model/cells";
import { Branches, Nodes, OneNode, Ports, Variables } from "./Lists";
import { Prompt, WorkflowChoice } from "./Choices";
import { Expression } from "./Expression";
import { JsonField } from "./JsonField";
import { Body } from "./Body";
import { Source } from "./Source";
import { Templates } from "./Templates";
import type { FieldSpec } from "./spec";

export interface FieldProps {
  spec: FieldSpec;
  value: unknown;
  onChange: (value: unknown) => void;
  /** What the server says about it. */
  fault: string | null;
  /** Which names its expressions can use: asked only when something is to be completed. */
  names: () => Names;
  /** The ids of the nodes that can be chosen, with their types. */
  nodes: readonly { id: string; type: string; label: string }[];
  /** Of the node that it belongs to. */
  ownerId: string;
  language?: string | undefined;
}

export function Field(props: FieldProps) {
  const { spec, value, onChange, fault } = props;
  const shared = {
    label: spec.label,
    description: spec.help,
    error: fault,
    size: "xs" as const,
    "data-testid": `field-${spec.name}`,
  };
  switch (spec.kind) {
    case "text":
      return (
        <TextInput
          {...shared}
          value={textOf(value)}
          onChange={({ currentTarget }) => onChange(currentTarget.value)}
          placeholder={spec.placeholder ?? ""}
          required={spec.isRequired ?? false}
        />
      );
    case "area":
      return (
        <Textarea
          {...shared}
          value={textOf(value)}
          onChange={({ currentTarget }) => onChange(currentTarget.value)}
          autosize
          minRows={2}
          maxRows={8}
        />
      );
    case "ms":
      return (
        <DurationInput
          {...shared}
          value={typeof value === "number" ? value : null}
          onChange={onChange}
          placeholder={spec.placeholder ?? ""}
        />
      );
    case "number":
      return (
        <NumberInput
          {...shared}
          value={typeof value === "number" ? value : ""}
          onChange={(typed) => onChange(typeof typed === "number" ? typed : undefined)}
          placeholder={spec.placeholder ?? ""}
          allowNegative={false}
          hideControls
        />
      );
    case "flag":
      return (
        <Switch
          {...shared}
          checked={typeof value === "boolean" ? value : spec.unwritten === true}
          onChange={({ currentTarget }) => onChange(currentTarget.checked)}
        />
      );
    case "choice":
      return (
        <NativeSelect
          {...shared}
          description={spec.helpOf?.(textOf(value) || textOf(spec.unwritten)) ?? spec.help}
          value={textOf(value) || textOf(spec.unwritten)}
          onChange={({ currentTarget }) => onChange(currentTarget.value)}
          data={(spec.options ?? []).map(([one, label]) => ({ value: one, label }))}
        />
      );
    case "texts":
      return (
        <TagsInput
          {...shared}
          value={textsOf(value)}
          onChange={(texts) => onChange(texts.length === 0 ? undefined : texts)}
          placeholder={textsOf(value).length === 0 ? (spec.placeholder ?? "Type and press Enter") : ""}
        />
      );
    case "cel":
    case "template":
    case "templateArea":
      return (
        <Expression
          {...props}
          text={textOf(value)}
          onText={onChange}
          mode={spec.kind === "cel" ? "cel" : "template"}
          isLong={spec.kind === "templateArea"}
        />
      );
    case "value":
      return (
        <Expression
          {...props}
          text={typedOf(value)}
          onText={(text) => onChange(valueOf(text))}
          mode="template"
        />
      );
    default:
      return <Large {...props} />;
  }
}

/** Those that are more than one control. */
function Large(props: FieldProps) {
  switch (props.spec.kind) {
    case "templates":
      return <Templates {...props} />;
    case "json":
      return <JsonField {...props} />;
    case "code":
      return <Source {...props} />;
    case "body":
      return <Body {...props} />;
    case "workflow":
      return <WorkflowChoice {...props} />;
    case "prompt":
      return <Prompt {...props} />;
    case "node":
      return <OneNode {...props} />;
    case "nodes":
      return <Nodes {...props} />;
    case "branches":
      return <Branches {...props} />;
    case "ports":
      return <Ports {...props} />;
    case "variables":
      return <Variables {...props} />;
    default:
      return null;
  }
}

/** Whether a field is shown at all. */
export function isShown(spec: FieldSpec, of: Record<string, unknown>): boolean {
  return spec.when?.(fieldsOf(of)) ?? true;
}
