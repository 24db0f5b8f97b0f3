/* What an event of a run says, in one line. */
import { fieldsOf, numberOf, textOf, textsOf, type Fields } from "../../api/narrow";
import { count, local, took } from "../../ui/times";
import { awaited, whySkipped } from "./words";

/** What came after its type and node: `failed: no such table (NODE_EXECUTION_FAILED)`. */
export function whatSaid(type: string, data: unknown): string {
  const fields = fieldsOf(data);
  return WORDS[type]?.(fields) ?? "";
}

/** Of what it tells: `resize #13`, or the run itself. */
export function ofWhom(data: unknown): string {
  const fields = fieldsOf(data);
  const node = textOf(fields["node_id"]);
  const instance = textOf(fields["instance"]);
  return node === null ? "" : instance === null ? node : `${node} #${instance}`;
}

type Said = (fields: Fields) => string;

const attempt: Said = (fields) => {
  const number = numberOf(fields["attempt"]) ?? 1;
  return number > 1 ? `, attempt ${number}` : "";
};
const fault: Said = (fields) => {
  const error = fieldsOf(fields["error"]);
  return [textOf(error["message"]), textOf(error["code"])].filter(Boolean).join(" · ");
};
const because: Said = (fields) => textOf(fields["reason"])?.replaceAll("_", " ") ?? "";
const names = (value: unknown): string => {
  const all = textsOf(value);
  return all.length > 5 ? `${all.slice(0, 5).join(", ")} and ${count(all.length - 5)} more` : all.join(", ");
};

const WORDS: Record<string, Said> = {
  WorkflowTriggered: (fields) => {
    const trigger = fieldsOf(fields["trigger"]);
    const waits = fields["waits"] === undefined ? "" : ", waits for a slot";
    return `by trigger ${textOf(trigger["id"]) ?? "?"} (${textOf(trigger["type"]) ?? "?"})${waits}`;
  },
  RunQueued: () => "all slots of its concurrency are taken",
  RunStarted: (fields) => {
    const nodes = numberOf(fields["total_nodes"]);
    return nodes === 1 ? "1 node" : `${count(nodes)} nodes`;
  },
  TimerSet: (fields) =>
    `for ${textOf(fields["purpose"])?.replaceAll("_", " ") ?? "?"}, due ${local(textOf(fields["due_at"]) ?? "")}`,
  RunCancelRequested: because,
  RunFailing: fault,
  RunFailed: fault,
  RunPartiallyCompleted: fault,
  RunCancelled: because,
  RunSlaMissed: (fields) => `it takes longer than ${took(numberOf(fields["sla_ms"]))}`,
  RecoveryTaken: (fields) =>
    [textOf(fields["action"])?.replaceAll("_", " "), textOf(fields["detail"])].filter(Boolean).join(": "),
  NodeQueued: (fields) =>
    `handed to queue ${textOf(fields["queue"]) ?? "default"} as ${textOf(fields["job_type"]) ?? "a job"}${attempt(fields)}`,
  NodeStarted: (fields) => {
    const instances = numberOf(fields["instances_count"]);
    const many = instances === null ? "" : `${count(instances)} instances`;
    const worker = textOf(fields["worker"]);
    return `${many}${worker === null ? "" : `on ${worker}`}${attempt(fields)}`.replace(/^, /, "");
  },
  NodeProgressed: (fields) =>
    [`${Math.round(100 * (numberOf(fields["progress"]) ?? 0))} %`, textOf(fields["message"])]
      .filter(Boolean)
      .join(" · "),
  NodeCompleted: (fields) =>
    fields["cached_from"] === undefined || fields["cached_from"] === null
      ? ""
      : "an earlier output used again",
  NodeFailed: fault,
  NodeRetried: (fields) =>
    `${fault(fields)}; next attempt ${count(numberOf(fields["attempt"]))} at ${local(textOf(fields["due_at"]) ?? "")}`,
  NodeSkipped: (fields) => whySkipped(textOf(fields["reason"]) ?? ""),
  NodeCancelled: because,
  NodeWaiting: (fields) => `waits for ${awaited(fields["wait"]) ?? "something"}`,
  ReportIgnored: (fields) => `${textOf(fields["report"]) ?? ""} came too late: ${because(fields)}`,
  WorkerAwaited: (fields) =>
    `no worker serves ${textOf(fields["job_type"]) ?? "its job type"} on queue ${textOf(fields["queue"]) ?? "default"}`,
  IterationStarted: (fields) => `iteration ${count(numberOf(fields["index"]))}`,
  IterationEnded: (fields) =>
    `iteration ${count(numberOf(fields["index"]))} ${textOf(fields["status"]) ?? "completed"}`,
  JobEnded: (fields) => textOf(fields["status"]) ?? "",
  ApprovalDecided: (fields) =>
    [textOf(fields["decision"]), textOf(fields["comment"])].filter(Boolean).join(": "),
  ChildRunRequested: (fields) => `a run of ${textOf(fields["workflow_id"]) ?? "?"}`,
  ChildRunEnded: (fields) => textOf(fields["status"]) ?? "",
  ChildRunRefused: (fields) => textOf(fields["message"]) ?? "",
  RunPaused: (fields) => {
    const before = names(fields["before"]);
    return before === "" ? because(fields) : `before ${before}`;
  },
  RunResumed: (fields) => {
    const steps = numberOf(fields["steps"]);
    return steps === null ? "" : `for ${count(steps)} ${steps === 1 ? "step" : "steps"}`;
  },
  RunRetryRequested: (fields) => `anew: ${names(fields["cleared"])}`,
  RunRetried: (fields) => `anew: ${names(fields["cleared"])}`,
  RunRetryRefused: (fields) => textOf(fields["message"]) ?? "",
  NodeDecidedByHand: (fields) =>
    [`${textOf(fields["action"]) ?? "decided"} by hand`, textOf(fields["comment"])]
      .filter(Boolean)
      .join(": "),
  RunChanged: (fields) =>
    Object.keys(fields)
      .filter((name) => name !== "command_id" && fields[name] !== null)
      .join(", "),
};
