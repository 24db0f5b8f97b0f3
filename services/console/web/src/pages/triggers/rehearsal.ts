/* What a changed trigger would have done over the recorded history, beside what did happen. */
import { Problem, type ProblemBody, type Schemas } from "../../api/client";
import { messagesOf } from "../../api/messages";
import { fieldsOf, listOf, numberOf, textOf, type Fields } from "../../api/narrow";

/** One cause, judged anew. */
export interface Judged {
  cause: Schemas["CauseView"];
  decision: string;
  reason: string | null;
  detail: string | null;
  at: string;
  position: number;
  didFire: boolean;
  runId: string | null;
}

export interface Rehearsal {
  evaluated: number;
  wouldFire: number;
  didFire: number;
  items: Judged[];
  nextCursor: string | null;
}

export type Difference = "would" | "would not" | "same";

/** `would`: it fires now and did not; `would not`: it did and does no more. */
export function differenceOf({ decision, didFire }: Judged): Difference {
  if ((decision === "fired") === didFire) return "same";
  return didFire ? "would not" : "would";
}

const ranks: Record<Difference, number> = { "would not": 0, would: 0, same: 1 };

/** Differences first, and in each part the newest first. */
export function differencesFirst(items: Judged[]): Judged[] {
  return [...items].sort(
    (one, other) => ranks[differenceOf(one)] - ranks[differenceOf(other)] || other.position - one.position,
  );
}

export function counted(items: Judged[]): Record<Difference, number> {
  const counts: Record<Difference, number> = { would: 0, "would not": 0, same: 0 };
  for (const item of items) counts[differenceOf(item)] += 1;
  return counts;
}

export function readRehearsal(answer: unknown): Rehearsal {
  const of = fieldsOf(answer);
  const decisions = fieldsOf(of["decisions"]);
  return {
    evaluated: numberOf(of["evaluated"]) ?? 0,
    wouldFire: numberOf(of["would_fire"]) ?? 0,
    didFire: numberOf(of["did_fire"]) ?? 0,
    items: listOf(decisions["items"]).map(readJudged),
    nextCursor: textOf(decisions["next_cursor"]),
  };
}

function readJudged(item: unknown): Judged {
  const of = fieldsOf(item);
  const cause = fieldsOf(of["cause"]);
  return {
    cause: {
      event_id: textOf(cause["event_id"]) ?? "",
      type: textOf(cause["type"]) ?? "",
      id: textOf(cause["id"]) ?? "",
      source: textOf(cause["source"]) ?? "",
    },
    decision: textOf(of["decision"]) ?? "",
    reason: textOf(of["reason"]),
    detail: textOf(of["detail"]),
    at: textOf(of["at"]) ?? "",
    position: numberOf(of["position"]) ?? 0,
    didFire: of["did_fire"] === true,
    runId: textOf(of["run_id"]),
  };
}

export interface Question {
  trigger: Fields;
  workflowId: string;
  since: string | null;
  cursor: string | null;
}

const ITEMS_MAX = 1_000;

/** Asks, and tells how far it is (0 to 1) while the server reads the history. Throws `Problem`. */
export async function rehearse(
  question: Question,
  onProgress: (part: number) => void,
  signal: AbortSignal,
): Promise<Rehearsal> {
  const cursor = question.cursor === null ? "" : `&cursor=${encodeURIComponent(question.cursor)}`;
  const response = await fetch(`/api/triggers/what-if?limit=${ITEMS_MAX}${cursor}`, {
    method: "POST",
    headers: { Accept: "text/event-stream", "Content-Type": "application/json" },
    body: JSON.stringify({
      trigger: question.trigger,
      workflow_id: question.workflowId,
      since: question.since,
    }),
    signal,
  });
  if (!response.ok || response.body === null) {
    throw new Problem(response.status, (await response.json().catch(() => ({}))) as ProblemBody);
  }
  for await (const { event, data } of messagesOf(response.body)) {
    const said = JSON.parse(data) as unknown;
    if (event === "answer") return readRehearsal(said);
    if (event === "problem") throw problemOf(said);
    if (event === "progress") onProgress(progressOf(said));
  }
  throw new Problem(0, { title: "Cut off", detail: "The answer broke off. Ask again." });
}

export function progressOf(data: unknown): number {
  const of = fieldsOf(data);
  const last = numberOf(of["last"]) ?? 0;
  return last === 0 ? 1 : Math.min(1, (numberOf(of["position"]) ?? 0) / last);
}

function problemOf(data: unknown): Problem {
  return new Problem(numberOf(fieldsOf(data)["status"]) ?? 500, fieldsOf(data));
}
