/* What the server found wrong with a definition, and where on the page that is. */
import type { Schemas } from "../../../api/client";
import { fieldsOf, isFields, listOf, type Definition } from "../model/definition";
import { scopeOf, type Scope } from "../model/graphs";
import { stepsOf } from "../text/read";

export type Report = Schemas["Report"];
export type Finding = Schemas["Finding"];

/** Where a finding belongs: a node, an edge, a trigger, or the workflow itself; and which of its fields. */
export interface Place {
  scope: Scope;
  kind: "node" | "edge" | "trigger" | "workflow";
  /** Of a node its id; of edges and triggers their index. */
  id: string;
  field: string;
}

/** A path such as `$.nodes[0].config.body.nodes[1].url` is the field `url` of a node in a loop's body. */
export function placeOf(
  definition: Definition,
  { path = "$", message }: { path?: string; message: string },
): Place {
  const steps = stepsOf(path);
  const scope: string[] = [];
  let graph: unknown = definition;
  let at = 0;
  for (;;) {
    const [list, index] = [steps[at], steps[at + 1]];
    const item = typeof list === "string" ? listOf(fieldsOf(graph)[list])[Number(index)] : undefined;
    if (list === "edges" || (list === "triggers" && at === 0)) {
      const field = fieldName(steps.slice(at + 2), message);
      return { scope, kind: list === "edges" ? "edge" : "trigger", id: String(index ?? ""), field };
    }
    if (list !== "nodes" || !isFields(item)) {
      return { scope, kind: "workflow", id: "", field: fieldName(steps, message) };
    }
    const id = typeof item["id"] === "string" ? item["id"] : "";
    const own = steps.slice(at + 2);
    const inner = own[0] === "config" ? own.slice(1) : own;
    if (inner[0] !== "body" || typeof inner[1] !== "string") {
      return { scope, kind: "node", id, field: fieldName(inner, message) };
    }
    scope.push(id);
    graph = item["body"] ?? fieldsOf(item["config"])["body"];
    at = steps.length - inner.length + 1;
  }
}

const NAMES_FIELD = /(?:missing required|unknown) field `([^`]+)`/;

function fieldName(steps: readonly (string | number)[], message: string): string {
  const missing = /missing required/.test(message) ? (NAMES_FIELD.exec(message)?.[1] ?? "") : "";
  return [...steps.map(String), missing].filter(Boolean).join(".");
}

export interface Found {
  finding: Finding;
  place: Place;
  isError: boolean;
}

export function foundIn(definition: Definition, report: Report | null): Found[] {
  if (report === null) return [];
  return [...report.errors, ...report.warnings].map((finding) => ({
    finding,
    place: placedFor(definition, finding),
    isError: finding.severity !== "warning",
  }));
}

/** Where the path leads to nothing in particular, the first node that it names. */
function placedFor(definition: Definition, finding: Finding): Place {
  const place = placeOf(definition, finding);
  const [first] = finding.nodes ?? [];
  if (place.kind !== "workflow" || first === undefined) return place;
  const scope = scopeOf(definition, first);
  return scope === null ? place : { scope, kind: "node", id: first, field: "" };
}

/** The nodes to be marked in a graph: their own findings, those of their bodies, and cycles. */
export function faultyNodes(found: readonly Found[], report: Report | null, scope: Scope): Set<string> {
  const marked = new Set<string>(report?.circular_dependencies.flat());
  for (const { place, isError } of found) {
    if (!isError || !isWithin(place.scope, scope)) continue;
    const inner = place.scope[scope.length];
    if (inner !== undefined) marked.add(inner);
    else if (place.kind === "node") marked.add(place.id);
  }
  return marked;
}

function isWithin(inner: Scope, outer: Scope): boolean {
  return outer.every((id, index) => inner[index] === id);
}

/** `a>b` for every step of a cycle. */
export function cycleSteps(report: Report | null): Set<string> {
  const steps = new Set<string>();
  for (const cycle of report?.circular_dependencies ?? []) {
    cycle.forEach((id, index) => steps.add(`${id}>${cycle[(index + 1) % cycle.length] ?? id}`));
  }
  return steps;
}

/** What is found at a field, or in what it holds; with no field, at the thing itself. */
export function foundAt(found: readonly Found[], kind: Place["kind"], id: string, field: string): Found[] {
  return found.filter(({ place }) => place.kind === kind && place.id === id && isOf(place.field, field));
}

/** The same in words, or null. */
export function saidAt(
  found: readonly Found[],
  kind: Place["kind"],
  id: string,
  field: string,
): string | null {
  const said = foundAt(found, kind, id, field).map(
    ({ finding: { message, suggested_resolution: remedy } }) =>
      remedy === "" ? message : `${message}: ${remedy}`,
  );
  return said.length === 0 ? null : said.join(" ");
}

function isOf(found: string, field: string): boolean {
  return found === field || (field !== "" && found.startsWith(`${field}.`));
}
