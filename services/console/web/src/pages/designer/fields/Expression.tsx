/* Text with expressions: completion of what is visible there, the server's findings below. */
import type { CompletionContext, CompletionResult } from "@codemirror/autocomplete";
import { useCallback, useEffect, useRef } from "react";
import { Code } from "../../../editor/Code";
import { offer, type Mode } from "../check/completion";
import type { Names } from "../check/names";
import type { FieldProps } from "./Field";
import { Labelled } from "./Labelled";

interface ExpressionProps extends FieldProps {
  text: string;
  onText: (text: string) => void;
  mode: Mode;
  isLong?: boolean;
}

export function Expression({ spec, fault, names, text, onText, mode, isLong = false }: ExpressionProps) {
  return (
    <Labelled spec={spec} fault={fault}>
      <ExpressionLine
        label={spec.label}
        names={names}
        text={text}
        onText={onText}
        mode={mode}
        isLong={isLong}
        placeholder={spec.placeholder}
      />
    </Labelled>
  );
}

interface LineProps {
  label: string;
  names: () => Names;
  text: string;
  onText: (text: string) => void;
  mode: Mode;
  isLong?: boolean;
  placeholder?: string | undefined;
}

export function ExpressionLine({ label, names, text, onText, mode, isLong = false, placeholder }: LineProps) {
  const complete = useCompletion(names, mode);
  return (
    <Code
      label={label}
      language="text"
      value={text}
      onChange={onText}
      isLine={!isLong}
      completions={complete}
      {...(isLong ? { height: "110px" } : {})}
      {...(placeholder === undefined ? {} : { placeholder })}
    />
  );
}

/** Keeps its identity while the names change: the editor asks the latest. */
function useCompletion(
  names: () => Names,
  mode: Mode,
): (context: CompletionContext) => CompletionResult | null {
  const latest = useRef(names);
  useEffect(() => {
    latest.current = names;
  });
  return useCallback(
    (context) => {
      const text = context.state.doc.toString();
      const offered = offer(text, context.pos, mode, latest.current());
      if (offered === null) return null;
      const isNothingTyped = offered.from === context.pos && !/[.[{]$/.test(text.slice(0, context.pos));
      if (isNothingTyped && !context.explicit) return null;
      return { from: offered.from, options: offered.options, filter: true };
    },
    [mode],
  );
}
