/* What a run or a node waits for, why it was skipped and what happened, in plain words. */
import type { Schemas } from "../../api/client";
import { fieldsOf, numberOf, textOf, textsOf, type Fields } from "../../api/narrow";
import { count, local, took } from "../../ui/times";

type Run = Schemas["Run"];

/** Why a node is skipped; `why` is its `skip_reason`. */
export function whySkipped(why: string): string {
  return SKIPPED[why] ?? why.replaceAll("_", " ");
}

const SKIPPED: Record<string, string> = {
  branch_not_taken: "a condition before it took another path",
  upstream_failed: "a node that it needs failed",
  upstream_skipped: "a node that it needs was skipped",
  run_if_not_met: "its run-if rule was not met",
  run_failed: "the run had failed before it began",
  run_cancelled: "the run was cancelled before it began",
  branch_lost: "another branch won",
  not_selected: "the run began at another node",
  by_hand: "somebody skipped it by hand",
};

/** `an approval`, `a worker that serves TRAIN on queue gpu`: what comes after "waits for". */
export function awaited(waitingFor: unknown): string | null {
  const wait = fieldsOf(waitingFor);
  const kind = textOf(wait["for"]);
  if (kind === null) return null;
  const words = AWAITED[kind];
  return words === undefined ? kind.replaceAll("_", " ") : words(wait);
}

const AWAITED: Record<string, (wait: Fields) => string> = {
  timer: () => "a time",
  event: (wait) => {
    const source = textOf(wait["source"]);
    const from = source === null || source === "*" ? "" : ` from ${source}`;
    return `an event ${textOf(wait["event_type"]) ?? "of any type"}${from}`;
  },
  approval: (wait) => {
    const names = textsOf(wait["approvers"]);
    return names.length === 0 ? "an approval" : `an approval by ${names.join(" or ")}`;
  },
  callback: () => "a call to its callback address",
  child: (wait) => `the run of ${textOf(wait["workflow_id"]) ?? "another workflow"} that it started`,
  pool: (wait) =>
    `a place in ${textOf(wait["pool"]) ?? "a pool"} (at most ${count(numberOf(wait["limit"]))} at once)`,
  breaker: (wait) =>
    `the circuit breaker ${textOf(wait["breaker"]) ?? ""} to close: what it calls has failed too often`,
  retry: () => "its next attempt",
  worker: (wait) =>
    `a worker that serves ${textOf(wait["job_type"]) ?? "its job type"} on queue ${textOf(wait["queue"]) ?? "default"}`,
};

/** The whole of it: `waits for an approval, for 4 min, until 12:00 at the latest`. */
export function waitWords(waitingFor: unknown, now: number): string | null {
  const what = awaited(waitingFor);
  if (what === null) return null;
  const { since, due_at: due, for: kind } = fieldsOf(waitingFor);
  const parts = [`waits for ${what}`];
  const began = textOf(since);
  const until = textOf(due);
  if (began !== null) parts.push(`for ${took(Math.max(0, now - Date.parse(began)))}`);
  if (until !== null)
    parts.push(
      kind === "timer" || kind === "retry"
        ? `until ${local(until, now)}`
        : `at the latest until ${local(until, now)}`,
    );
  return parts.join(", ");
}

/** Why a run that is `pending` has not begun; null where nothing is known to be in its way. */
export function slotWords(waiting: Run["waiting_for"]): string | null {
  if (waiting === null || waiting === undefined) return null;
  const where = waiting.pool === null ? "of its workflow" : `in pool ${waiting.pool}`;
  const key = waiting.key === "" ? "" : ` for key ${waiting.key}`;
  const slots = waiting.limit === 1 ? "the one slot" : `one of ${count(waiting.limit)} slots`;
  return `waits for ${slots} ${where}${key}: ${count(waiting.in_use)} in use, place ${count(waiting.position)} in the queue`;
}

/** The layers that kept a script apart from the machine. */
export function layerWords(layer: string): string {
  return LAYERS[layer] ?? layer.replaceAll("_", " ");
}

const LAYERS: Record<string, string> = {
  own_process_group: "own process group",
  dies_with_worker: "dies with its worker",
  no_new_privileges: "no new privileges",
  resource_limits: "limits on time, memory and files",
  clean_environment: "clean environment",
  own_folder: "own folder",
  closed_descriptors: "no open files of others",
  fewer_capabilities: "fewer capabilities",
  landlock_files: "files of others closed (Landlock)",
  landlock_ports: "ports closed (Landlock)",
  landlock_signals: "signals closed (Landlock)",
};
