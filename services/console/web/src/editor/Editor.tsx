import {
  autocompletion,
  closeBrackets,
  closeBracketsKeymap,
  completionKeymap,
  type CompletionSource,
} from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { json } from "@codemirror/lang-json";
import { yaml } from "@codemirror/lang-yaml";
import {
  bracketMatching,
  defaultHighlightStyle,
  HighlightStyle,
  syntaxHighlighting,
} from "@codemirror/language";
import { lintGutter, linter, type Diagnostic } from "@codemirror/lint";
import { Compartment, EditorState, type Extension } from "@codemirror/state";
import { EditorView, keymap, lineNumbers, placeholder as placeholderOf } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { useComputedColorScheme } from "@mantine/core";
import { useEffect, useRef } from "react";
import { styleNonce } from "../ui/nonce";

export interface EditorProps {
  value: string;
  onChange?: (value: string) => void;
  language: "yaml" | "json" | "text";
  label: string;
  /** One line, without numbers: expressions. */
  isLine?: boolean;
  isReadOnly?: boolean;
  placeholder?: string;
  completions?: CompletionSource;
  /** Called when typing pauses; offsets are into the text. */
  faults?: (text: string) => Promise<Diagnostic[]>;
  height?: string;
}

const dark = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "#7cd4e8" },
  { tag: [tags.string, tags.content], color: "#b5e0a0" },
  { tag: [tags.number, tags.bool, tags.null], color: "#f5c27a" },
  { tag: [tags.comment, tags.meta], color: "#9aa5b0" },
  { tag: tags.keyword, color: "#c9a8ff" },
]);
const look = EditorView.theme({
  "&": {
    fontSize: "13px",
    border: "1px solid var(--ff-line)",
    borderRadius: "6px",
    background: "var(--ff-panel)",
    height: "100%",
  },
  "&.cm-focused": { outline: "2px solid var(--mantine-color-anchor)" },
  ".cm-scroller": { fontFamily: "var(--mantine-font-family-monospace)", overflow: "auto" },
  ".cm-gutters": { background: "var(--ff-raised)", color: "var(--mantine-color-dimmed)", border: "0" },
  ".cm-content": { caretColor: "var(--mantine-color-text)" },
  ".cm-cursor": { borderLeftColor: "var(--mantine-color-text)" },
  ".cm-tooltip": {
    background: "var(--ff-panel)",
    color: "var(--mantine-color-text)",
    border: "1px solid var(--ff-line)",
  },
  ".cm-placeholder": { color: "var(--mantine-color-placeholder)" },
});
const languages: Record<EditorProps["language"], () => Extension> = { yaml, json, text: () => [] };

export default function Editor(props: EditorProps) {
  const { value, language, label, isLine = false, isReadOnly = false, placeholder, height } = props;
  const scheme = useComputedColorScheme("light");
  const place = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const colours = useRef(new Compartment());
  const latest = useRef(props);
  useEffect(() => {
    latest.current = props;
  });

  useEffect(() => {
    if (place.current === null) return;
    const own = new EditorView({
      parent: place.current,
      state: EditorState.create({
        doc: latest.current.value,
        extensions: [
          EditorView.cspNonce.of(styleNonce()),
          look,
          colours.current.of(syntaxHighlighting(defaultHighlightStyle)),
          languages[language](),
          history(),
          bracketMatching(),
          closeBrackets(),
          keymap.of([
            ...closeBracketsKeymap,
            ...completionKeymap,
            ...historyKeymap,
            ...defaultKeymap,
            ...(isLine ? [] : [indentWithTab]),
          ]),
          // Escape closes a completion here, not the dialog around
          EditorView.contentAttributes.of({ "aria-label": label, "data-mantine-stop-propagation": "true" }),
          EditorState.readOnly.of(isReadOnly),
          ...(isLine
            ? [EditorState.transactionFilter.of((change) => (change.newDoc.lines > 1 ? [] : change))]
            : [lineNumbers()]),
          EditorView.lineWrapping,
          ...(placeholder === undefined ? [] : [placeholderOf(placeholder)]),
          autocompletion({
            icons: false,
            override: [(context) => latest.current.completions?.(context) ?? null],
          }),
          ...(latest.current.faults === undefined
            ? []
            : [
                linter((of) => latest.current.faults?.(of.state.doc.toString()) ?? [], { delay: 350 }),
                ...(isLine ? [] : [lintGutter()]),
              ]),
          EditorView.updateListener.of((update) => {
            if (update.docChanged) latest.current.onChange?.(update.state.doc.toString());
          }),
        ],
      }),
    });
    view.current = own;
    return () => own.destroy();
  }, [language, label, isLine, isReadOnly, placeholder]);

  useEffect(() => {
    const own = view.current;
    if (own === null) return;
    const before = own.state.doc.toString();
    if (before !== value) own.dispatch({ changes: changeOf(before, value) });
  }, [value]);

  useEffect(() => {
    const style = scheme === "dark" ? dark : defaultHighlightStyle;
    view.current?.dispatch({ effects: colours.current.reconfigure(syntaxHighlighting(style)) });
  }, [scheme, language, label]);

  return (
    <div
      ref={place}
      style={{ height: height ?? (isLine ? undefined : "100%"), minHeight: isLine ? undefined : 120 }}
    />
  );
}

/** Only what differs is replaced, so that the cursor stays and a long text is not read anew. */
function changeOf(before: string, after: string): { from: number; to: number; insert: string } {
  const shorter = Math.min(before.length, after.length);
  let from = 0;
  while (from < shorter && before.charCodeAt(from) === after.charCodeAt(from)) from += 1;
  let tail = 0;
  while (
    tail < shorter - from &&
    before.charCodeAt(before.length - 1 - tail) === after.charCodeAt(after.length - 1 - tail)
  ) {
    tail += 1;
  }
  return { from, to: before.length - tail, insert: after.slice(from, after.length - tail) };
}
