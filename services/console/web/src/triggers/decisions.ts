/* What a trigger answered, as a sentence: fired, or not and why. What stands between backticks is code. */
import { durationText } from "../ui/durations";
import { local } from "../ui/times";
import { code } from "./words";

export interface Answered {
  decision: string;
  reason: string | null;
  detail: string | null;
  /** The events that it used. */
  consumed?: string[];
}

export const DECISIONS = ["fired", "not_matched", "held", "suppressed", "expired", "failed"] as const;
export type DecisionName = (typeof DECISIONS)[number];

const TIME = /\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?Z/g;
const PERIOD = /\b(\d+) ms\b/g;
const FALSE = /^(.*?) was false(?:, (.*))?$/s;
const SEEN = /, (?=(?:event|variables|run)\b[\w.[\]"-]* was )/;

/** `not fired: `event.data.size > 10` was false, size was 5` */
export function decisionInWords({ decision, reason, detail, consumed = [] }: Answered): string {
  const why = reason ?? "";
  const more = detail === null ? "" : readable(detail);
  switch (decision) {
    case "fired":
      return consumed.length > 1 ? `fired, for ${consumed.length} events together` : "fired";
    case "not_matched":
      return why === "" ? "not fired: it did not match" : `not fired: ${unmatched(why, more)}`;
    case "held":
      return `not yet: ${heldWords[why]?.(more) ?? joined(readable(why), more)}`;
    case "suppressed":
      return `not fired: ${suppressedWords[why]?.(more) ?? joined(readable(why), more)}`;
    case "expired":
      return `given up: ${expiredWords(why, more)}`;
    case "failed":
      return `could not decide: ${faultWords(why)}`;
    default:
      return joined(decision.replaceAll("_", " "), joined(why, more));
  }
}

function unmatched(reason: string, detail: string): string {
  if (reason === "absent_for_ms") return detail === "" ? "it came in time" : detail;
  if (reason === "upstream_archived") return detail === "" ? "an upstream was archived" : detail;
  const found = FALSE.exec(reason);
  if (found === null) return joined(reason, detail);
  const seen = (found[2] ?? "").split(SEEN).filter((one) => one !== "");
  return [`${code(found[1] ?? "")} was false`, ...seen.map(valueWords)].join(", ");
}

/** `event.data.size was 5` is said as `size was 5`: the expression before it names the way there. */
function valueWords(seen: string): string {
  const found = /^(\S+) was (.*)$/s.exec(seen);
  if (found === null) return seen;
  const path = found[1] ?? "";
  return `${path.split(".").at(-1) ?? path} was ${code(found[2] ?? "")}`;
}

const heldWords: Record<string, (detail: string) => string> = {
  upstreams: (detail) => (detail === "" ? "waits for other workflows" : detail),
  batch: (detail) => joined("gathers more events", detail),
  debounce: (detail) => joined("waits for quiet", detail),
  delay: (detail) => joined("waits for its delay", detail),
  concurrency: (detail) => joined("waits for a free slot", detail),
};

const suppressedWords: Record<string, (detail: string) => string> = {
  disabled: () => "the trigger was switched off",
  limited: (detail) => joined("its limit was reached", detail),
  debounced: (detail) => joined("a later one takes its place", detail),
  overlap: (detail) => joined("a run was going on already", detail),
  self: (detail) => joined("it would be starting itself", detail),
  depth_exceeded: (detail) => joined("the chain of causes is too long", detail),
  workflow_inactive: (detail) => (detail === "" ? "the workflow is not active" : detail),
  duplicate: (detail) => (detail === "" ? "it started a run already" : detail),
  changed: (detail) => joined("the trigger was changed", detail),
  cancelled: (detail) =>
    joined("it was cancelled while it waited", detail === "cancelled while it waited" ? "" : detail),
};

function expiredWords(reason: string, detail: string): string {
  if (reason === "concurrency") return joined("no slot became free in time", detail);
  if (reason === "") return detail === "" ? "its time was over" : detail;
  return joined(readable(reason), detail);
}

/** `filter: event.data.x is missing, in `event.data.x == 1`` */
function faultWords(reason: string): string {
  const found = /^(filter|input|correlate_by|concurrency\.key): (.*)$/s.exec(reason);
  if (found === null) return reason === "" ? "an expression could not be computed" : reason;
  const what = { filter: "its filter", input: "its input", correlate_by: "what joins upstreams" }[
    found[1] ?? ""
  ];
  return `${what ?? "the workflow's concurrency key"} could not be computed, ${found[2] ?? ""}`;
}

function joined(one: string, other: string): string {
  return [one, other].filter((part) => part !== "").join(": ");
}

/** Times in the viewer's zone, periods in units. */
function readable(text: string): string {
  return text
    .replace(TIME, (at) => local(at))
    .replace(PERIOD, (_all, ms: string) => durationText(Number(ms)));
}

const NAMES: Record<string, string> = {
  fired: "Fired",
  not_matched: "Did not match",
  held: "Held",
  suppressed: "Suppressed",
  expired: "Expired",
  failed: "Failed",
};

/** The word on a decision's sign. */
export function decisionName(decision: string): string {
  return NAMES[decision] ?? decision.replaceAll("_", " ");
}

/** What each decision means, for a legend. */
export function decisionMeans(decision: DecisionName): string {
  return {
    fired: "A run was started",
    not_matched: "The filter was false",
    held: "It waits for more, or for a time; a final decision follows",
    suppressed: "It matched, but something stood in the way",
    expired: "It waited in vain, or its time was missed",
    failed: "The filter or the input could not be computed",
  }[decision];
}
