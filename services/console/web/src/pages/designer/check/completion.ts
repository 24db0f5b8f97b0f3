/* What can be typed next in an expression: the names that are seen there, and CEL's functions. */
import type { Names } from "./names";
import { asCel, isIdentifier } from "./references";
import { spansOf } from "./templates";

export interface Option {
  label: string;
  /** What is put in where it differs from the label. */
  apply?: string;
  detail?: string;
  type: "variable" | "property" | "function";
  boost?: number;
}

export interface Offer {
  /** What is replaced begins here. */
  from: number;
  options: Option[];
}

export type Mode = "cel" | "template";

const FUNCTIONS: [string, string][] = [
  ["size()", "how many items or characters"],
  ["has()", "whether a field is there"],
  ["string()", "as text"],
  ["int()", "as whole number"],
  ["double()", "as number with fraction"],
  ["timestamp()", "a time from text"],
  ["duration()", "a length of time, '90s'"],
];
const METHODS: [string, string][] = [
  ["size()", "how many"],
  ["contains()", "whether the text has another"],
  ["startsWith()", "whether the text begins so"],
  ["endsWith()", "whether the text ends so"],
  ["matches()", "a regular expression (RE2)"],
  ["map(x, x)", "each item changed"],
  ["filter(x, true)", "the items for which it holds"],
  ["all(x, true)", "whether it holds for all"],
  ["exists(x, true)", "whether it holds for one"],
];
const RUN = ["id", "workflow_id", "version", "trigger", "labels"];
const EVENT = ["id", "type", "source", "time", "subject", "data"];
const ERROR = ["code", "message", "affected_nodes"];

/** A chain of names before the cursor: `nodes["my-node"].output.ro`. */
const CHAIN = /(?:[A-Za-z_]\w*(?:\.\w*|\["[^"]*"?\]?|\['[^']*'?\]?)*)$/;

/** What is offered at `at`; null where nothing fits, as outside of a template's `${…}`. */
export function offer(text: string, at: number, mode: Mode, names: Names): Offer | null {
  const from = mode === "cel" ? 0 : startOfExpression(text, at);
  if (from === null) return null;
  const before = text.slice(from, at);
  if (isInText(before)) return null;
  const chain = CHAIN.exec(before)?.[0] ?? "";
  const split = Math.max(chain.lastIndexOf("."), chain.lastIndexOf("["));
  if (split < 0) return { from: at - chain.length, options: topLevel(names) };
  const isBracket = chain.charAt(split) === "[";
  const options = below(chain.slice(0, split), names, isBracket);
  if (options.length === 0) return null;
  if (isBracket) return { from: at - (chain.length - split), options };
  const usesBracket = (option: Option) => option.apply?.startsWith("[") === true;
  const needsDot = options.some(usesBracket);
  // `nodes.my-node` cannot be: with the dot replaced, it becomes `nodes["my-node"]`
  if (!needsDot) return { from: at - (chain.length - split - 1), options };
  return {
    from: at - (chain.length - split),
    options: options.map((option) => ({
      ...option,
      label: usesBracket(option) ? (option.apply ?? option.label) : `.${option.label}`,
      apply: usesBracket(option) ? (option.apply ?? "") : `.${option.apply ?? option.label}`,
    })),
  };
}

function startOfExpression(text: string, at: number): number | null {
  return spansOf(text).find(({ from, to }) => from <= at && at <= to)?.from ?? null;
}

/** Whether the cursor is in a quoted text that is no key of `nodes[…]`. */
function isInText(before: string): boolean {
  const quotes = before.replace(/\\./g, "").match(/["']/g) ?? [];
  let open = "";
  for (const quote of quotes) open = open === "" ? quote : open === quote ? "" : open;
  return open !== "" && !/\[["'][^"']*$/.test(before);
}

function topLevel(names: Names): Option[] {
  const variable = (label: string, detail: string, boost = 0): Option => ({
    label,
    detail,
    type: "variable",
    boost,
  });
  const functions = FUNCTIONS.map(([label, detail]) => ({
    label,
    detail,
    type: "function" as const,
    boost: -10,
  }));
  return [
    ...names.others.map((name) => variable(name, "of this node", 9)),
    ...(names.hasItem
      ? [variable("item", "of this turn", 8), variable("index", "of this turn, from 0", 7)]
      : []),
    ...(names.hasPrevious ? [variable("previous", "the last turn's output", 6)] : []),
    variable("input", "of the run", 5),
    variable("nodes", "what others gave", 4),
    variable("variables", "of the run", 3),
    variable("run", "itself", 0),
    variable("event", "that started the run", 0),
    variable("events", "all that it took", -1),
    variable("now", "the time", 0),
    ...(names.secrets === null ? [] : [variable("secrets", "put in by the worker", 2)]),
    ...functions,
  ];
}

function below(path: string, names: Names, isBracket: boolean): Option[] {
  const steps = path.match(/[A-Za-z_]\w*|"[^"]*"|'[^']*'/g)?.map((step) => step.replace(/["']/g, "")) ?? [];
  const [first, second, third] = steps;
  const properties = (found: readonly string[]): Option[] =>
    found.map((name) => property(first ?? "", name, isBracket));
  const methods: Option[] = isBracket
    ? []
    : METHODS.map(([label, detail]) => ({ label, detail, type: "function", boost: -10 }));
  if (first === "nodes") {
    if (second === undefined) return names.nodes.map((node) => nodeOption(node, isBracket));
    if (third === undefined) return properties(["output", "status", "error"]);
    if (third === "error") return properties(ERROR);
    const outputs = names.nodes.find(({ id }) => id === second)?.outputs ?? [];
    return [...(steps.length === 3 && third === "output" ? properties(outputs) : []), ...methods];
  }
  if (steps.length > 1) return methods;
  if (first === "variables") {
    return names.variables.map(({ name, detail }) => ({ ...property(first, name, isBracket), detail }));
  }
  if (first === "input") return [...properties(names.inputs), ...methods];
  if (first === "run") return properties(RUN);
  if (first === "event") return properties(EVENT);
  if (first === "secrets") return properties(names.secrets ?? []);
  return methods;
}

function property(parent: string, name: string, isBracket: boolean): Option {
  if (isBracket) return { label: name, apply: `[${JSON.stringify(name)}]`, type: "property" };
  if (isIdentifier(name)) return { label: name, type: "property" };
  return { label: name, apply: asCel(parent, name).slice(parent.length), type: "property" };
}

function nodeOption({ id, label, isBefore }: Names["nodes"][number], isBracket: boolean): Option {
  const detail = [label, isBefore ? "" : "does not lead here"].filter(Boolean).join(", ");
  return { ...property("nodes", id, isBracket), detail, boost: isBefore ? 2 : -2 };
}
