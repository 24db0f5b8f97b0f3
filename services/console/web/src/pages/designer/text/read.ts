/* A text as a definition, or where and why it is none. */
import { isNode, parseDocument, type Document } from "yaml";
import { asDefinition, isFault, type Definition } from "../model/definition";

export interface TextFault {
  message: string;
  line: number;
  from: number;
  to: number;
}

export function read(text: string): { definition: Definition } | { fault: TextFault } {
  const document = parsed(text);
  const [error] = document.errors;
  if (error !== undefined) {
    const [from, to] = error.pos;
    return { fault: { message: error.message, line: lineOf(text, from), from, to } };
  }
  try {
    const definition = asDefinition(document.toJS());
    if (!isFault(definition)) return { definition };
    const [{ from, to } = { from: 0, to: 0 }] = locate(text, [definition.path]);
    return { fault: { message: definition.fault, line: lineOf(text, from), from, to } };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { fault: { message, line: 1, from: 0, to: 0 } };
  }
}

let last: { text: string; document: Document.Parsed } | null = null;

/** The text that was parsed last is asked about several times; what is given is only read. */
function parsed(text: string): Document.Parsed {
  if (last?.text !== text) last = { text, document: parseDocument(text, { prettyErrors: false }) };
  return last.document;
}

function lineOf(text: string, at: number): number {
  return text.slice(0, at).split("\n").length;
}

/** `$.nodes[0].config.url` as `["nodes", 0, "config", "url"]`. */
export function stepsOf(path: string): (string | number)[] {
  return [...path.matchAll(/\.([^.[\]]+)|\[(\d+)\]/g)].map(([, name, index]) => name ?? Number(index));
}

/** Where in the text the paths lead, or as far as they do. */
export function locate(text: string, paths: readonly string[]): { from: number; to: number }[] {
  const document = parsed(text);
  return paths.map((path) => {
    const steps = stepsOf(path);
    for (let length = steps.length; length > 0; length -= 1) {
      const node = document.getIn(steps.slice(0, length), true);
      if (isNode(node) && node.range != null) return { from: node.range[0], to: firstLine(text, node.range) };
    }
    return { from: 0, to: 0 };
  });
}

/** Of what spans lines, only the first is marked. */
function firstLine(text: string, [from, to]: readonly number[]): number {
  const end = text.indexOf("\n", from);
  return Math.min(to ?? from ?? 0, end < 0 ? text.length : end);
}
