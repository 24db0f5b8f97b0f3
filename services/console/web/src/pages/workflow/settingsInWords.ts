/* The settings of a workflow in words, those too that nobody has set. */
import { fieldsOf, textOf } from "../../api/narrow";
import { took } from "../../ui/times";

const CONFLICTS: Record<string, string> = {
  queue: "the others wait",
  skip: "the others are not started",
  cancel_running: "the one that runs is cancelled",
};

export function settingsInWords(settings: unknown): [string, string][] {
  const of = fieldsOf(settings);
  return [
    ["At once", `at most ${Number(of["max_parallel_jobs"] ?? 5)} nodes of a run`],
    ["When one fails", of["fail_fast"] === false ? "branches that can go on do" : "the run ends, failed"],
    ["A run may take", limited(of["timeout_ms"])],
    ["Told as late after", limited(of["sla_ms"], "never")],
    ["May wait for its turn", limited(of["queue_timeout_ms"])],
    ["Runs beside each other", concurrency(of["concurrency"])],
    ["Recovery", recovery(of["recovery"])],
    ["When a run fails", onFailure(of["on_failure"])],
  ];
}

function limited(ms: unknown, otherwise = "as long as it likes"): string {
  return typeof ms === "number" ? took(ms) : otherwise;
}

function concurrency(value: unknown): string {
  const of = fieldsOf(value);
  if (typeof of["limit"] !== "number") return "as many as are started";
  const key = typeof of["key"] === "string" && of["key"] !== "" ? ` for each ${of["key"]}` : "";
  const pool = typeof of["pool"] === "string" ? ` in the pool ${of["pool"]}` : "";
  return `at most ${of["limit"]}${key}${pool}; ${CONFLICTS[textOf(of["on_conflict"]) ?? "queue"] ?? "the others wait"}`;
}

function recovery(value: unknown): string {
  const of = fieldsOf(value);
  const retries = typeof of["max_retry_attempts"] === "number" ? of["max_retry_attempts"] : 0;
  const said = [
    of["continue_on_node_failure"] === true ? "go on after a failure" : null,
    of["retry_failed_nodes"] === true && retries > 0 ? `try failed nodes ${retries} times more` : null,
    of["skip_failed_branches"] === true ? "leave out what lies below a failure" : null,
    of["fallback_to_partial_execution"] === true ? "end as partial where something came out" : null,
  ].filter((part) => part !== null);
  return said.length === 0 ? "none" : said.join(", ");
}

function onFailure(value: unknown): string {
  const id = fieldsOf(value)["workflow_id"];
  return typeof id === "string" ? `the workflow ${id} is started` : "nothing more";
}
