/* What the designer holds: the definition and its history, where one is in it, what is selected. */
import { patched } from "../text/patch";
import { read, type TextFault } from "../text/read";
import type { Definition } from "./definition";
import { graphAt, linksOf, type Scope } from "./graphs";
import { begin, changed, redone, undone, type History, type Snapshot } from "./history";

export interface Selection {
  nodes: readonly string[];
  links: readonly string[];
}

export interface Design {
  history: History;
  /** What the server has, and as which version; null before the first save. */
  saved: { definition: Definition; version: number } | null;
  scope: Scope;
  selection: Selection;
  /** A text that does not parse: the canvas shows what was before it. */
  broken: { text: string; fault: TextFault } | null;
}

export type Act =
  | {
      do: "edit";
      change: (definition: Definition) => Definition;
      key: string | null;
      now: number;
      select?: Selection;
    }
  | { do: "type"; text: string; now: number }
  | { do: "mend" }
  | { do: "undo" | "redo" }
  | { do: "select"; selection: (selection: Selection) => Selection }
  | { do: "open"; scope: Scope; selection?: Selection }
  | { do: "saved"; definition: Definition; version: number }
  | { do: "replace"; snapshot: Snapshot; saved: Design["saved"] };

export const NOTHING: Selection = { nodes: [], links: [] };

export function beginDesign(snapshot: Snapshot, saved: Design["saved"]): Design {
  return { history: begin(snapshot), saved, scope: [], selection: NOTHING, broken: null };
}

export function definitionOf({ history }: Design): Definition {
  return history.present.definition;
}

export function isDirty(design: Design): boolean {
  return definitionOf(design) !== design.saved?.definition;
}

/** The text as it was typed or loaded, with what changed since changed in it. */
export function textOfDesign({ broken, history }: Design): string {
  return broken?.text ?? textOfSnapshot(history.present);
}

const texts = new WeakMap<Definition, { source: Snapshot["source"]; text: string }>();

export function textOfSnapshot({ definition, source }: Snapshot): string {
  const kept = texts.get(definition);
  if (kept?.source === source) return kept.text;
  const text = patched(source.text, source.definition, definition);
  texts.set(definition, { source, text });
  return text;
}

export function designed(design: Design, act: Act): Design {
  switch (act.do) {
    case "edit":
      return edited(design, act);
    case "type":
      return typed(design, act.text, act.now);
    case "mend":
      return { ...design, broken: null };
    case "undo":
    case "redo": {
      const history = act.do === "undo" ? undone(design.history) : redone(design.history);
      return history === design.history ? design : kept({ ...design, history, broken: null });
    }
    case "select": {
      const selection = act.selection(design.selection);
      return selection === design.selection ? design : { ...design, selection };
    }
    case "open":
      return kept({ ...design, scope: act.scope, selection: act.selection ?? NOTHING });
    case "saved":
      return { ...design, saved: { definition: act.definition, version: act.version } };
    case "replace":
      return beginDesign(act.snapshot, act.saved);
  }
}

function edited(design: Design, act: Act & { do: "edit" }): Design {
  if (design.broken !== null) return design;
  const { present } = design.history;
  const definition = act.change(present.definition);
  if (definition === present.definition) return design;
  const history = changed(design.history, { definition, source: present.source }, act.key, act.now);
  return kept({ ...design, history, selection: act.select ?? design.selection });
}

function typed(design: Design, text: string, now: number): Design {
  const { present } = design.history;
  if (text === textOfSnapshot(present)) return design.broken === null ? design : { ...design, broken: null };
  const got = read(text);
  if ("fault" in got) return { ...design, broken: { text, fault: got.fault } };
  const snapshot = { definition: got.definition, source: { text, definition: got.definition } };
  return kept({ ...design, history: changed(design.history, snapshot, "text", now), broken: null });
}

/** Without a selection of, or a stay in, what is not there any more. */
function kept(design: Design): Design {
  const definition = definitionOf(design);
  let scope = design.scope;
  while (graphAt(definition, scope) === null) scope = scope.slice(0, -1);
  const graph = graphAt(definition, scope);
  if (graph === null) return design;
  const ids = new Set(graph.nodes.map(({ id }) => id));
  const nodes = design.selection.nodes.filter((id) => ids.has(id));
  const keys = design.selection.links.length === 0 ? null : new Set(linksOf(graph).map(({ key }) => key));
  const links = design.selection.links.filter((key) => keys?.has(key));
  const isSame =
    nodes.length === design.selection.nodes.length && links.length === design.selection.links.length;
  return { ...design, scope, selection: isSame ? design.selection : { nodes, links } };
}
