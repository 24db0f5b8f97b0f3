/* A CEL expression over one event: completed from a sample, checked by the server as one types. */
import type { Completion, CompletionContext, CompletionResult } from "@codemirror/autocomplete";
import type { Diagnostic } from "@codemirror/lint";
import { Input } from "@mantine/core";
import { useId } from "react";
import { http, Problem } from "../api/client";
import { Code } from "../editor/Code";
import { faultAt, pathsOf } from "./paths";
import { asBody, written, type Trigger } from "./trigger";

interface ExpressionProps {
  label: string;
  description?: string;
  value: string;
  onChange: (value: string) => void;
  placeholder?: string;
  /** What the expression's root looks like: `event` or `run`. */
  root: string;
  sample: unknown;
  /** The trigger with another text in this place, to be checked, and where in it the text stands. */
  within: (text: string) => Trigger;
  path: string;
}

export function Expression(props: ExpressionProps) {
  const id = useId();
  return (
    <Input.Wrapper label={props.label} description={props.description} labelElement="div" id={id}>
      <div style={{ marginTop: 4 }}>
        <Code
          value={props.value}
          onChange={props.onChange}
          language="text"
          label={props.label}
          isLine
          placeholder={props.placeholder ?? ""}
          completions={(context) => completed(context, props.root, props.sample)}
          faults={(text) => faultsIn(text, props.within, props.path)}
        />
      </div>
    </Input.Wrapper>
  );
}

const FUNCTIONS: Completion[] = [
  "has",
  "size",
  "startsWith",
  "endsWith",
  "contains",
  "matches",
  "exists",
  "double",
].map((label) => ({ label, apply: `${label}(`, type: "function" }));

function completed(context: CompletionContext, root: string, sample: unknown): CompletionResult | null {
  const before = context.matchBefore(/[\w.[\]"-]+/);
  if (before === null && !context.explicit) return null;
  const paths = pathsOf(sample, root).map(({ path, value }) => ({
    label: path,
    detail: JSON.stringify(value).slice(0, 40),
    type: "variable",
  }));
  return {
    from: before?.from ?? context.pos,
    options: [{ label: root, type: "keyword" }, ...paths, ...FUNCTIONS],
  };
}

async function faultsIn(
  text: string,
  within: (text: string) => Trigger,
  path: string,
): Promise<Diagnostic[]> {
  if (text.trim() === "") return [];
  const trigger = within(text);
  const checked = { ...written(trigger), enabled: true, id: trigger.id === "" ? "new" : trigger.id };
  try {
    await http.POST("/api/triggers/test", {
      body: {
        trigger: asBody(checked),
        event: asBody({ type: "none", source: "/none", data: {} }),
        workflow_id: null,
      },
    });
    return [];
  } catch (error) {
    if (!(error instanceof Problem)) return [];
    return error.errors
      .filter((one) => one.path === `$.trigger.${path}`)
      .map((one) => ({ ...faultAt(one.message ?? "", text), severity: "error", message: one.message ?? "" }));
  }
}
