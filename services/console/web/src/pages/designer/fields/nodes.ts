/* What each type of node can be told (interface.md 1.1). */
import { fieldOf, type Fields } from "../model/definition";
import type { FieldSpec } from "./spec";

const is =
  (name: string, ...values: unknown[]) =>
  (of: Fields) =>
    values.includes(fieldOf(of, name));
const MODES = [
  ["", "as the other side says, or all"],
  ["all", "all"],
  ["any", "any one"],
  ["count", "a number of them"],
] as const;
const QUEUE: FieldSpec = {
  name: "queue",
  label: "Queue",
  kind: "text",
  help: "Workers serve queues",
  placeholder: "default",
  unwritten: "default",
};
const LANGUAGES = [
  ["bash", "bash"],
  ["python", "Python"],
  ["node", "Node"],
] as const;

export const NODE_FIELDS: Record<string, FieldSpec[]> = {
  start: [],
  end: [{ name: "output", label: "Output", kind: "templates", columns: ["Name", "Value"] }],
  job: [
    {
      name: "job_type",
      label: "Job type",
      kind: "text",
      isRequired: true,
      help: "A worker that serves it does the work",
    },
    QUEUE,
    { name: "payload", label: "Payload", kind: "templates", help: "What the worker gets as job.payload" },
  ],
  script: [
    { name: "language", label: "Language", kind: "choice", options: LANGUAGES },
    {
      name: "source",
      label: "Script",
      kind: "code",
      isRequired: true,
      help: "Its input is the JSON file named by FLOWFORGE_INPUT, its output the JSON written to the file named by FLOWFORGE_OUTPUT",
    },
    { name: "env", label: "Environment variables", kind: "templates" },
    QUEUE,
    {
      name: "isolation",
      label: "Runs in",
      kind: "choice",
      unwritten: "process",
      options: [
        ["process", "a process of its own"],
        ["container", "a container"],
      ],
    },
    { name: "image", label: "Image", kind: "text", when: is("isolation", "container") },
    { name: "max_memory_mb", label: "Memory at most (MB)", kind: "number" },
    { name: "max_file_mb", label: "Files at most (MB)", kind: "number" },
  ],
  webhook: [
    {
      name: "method",
      label: "Method",
      kind: "choice",
      options: ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"].map((one) => [one, one] as const),
    },
    { name: "url", label: "Address", kind: "template", isRequired: true, placeholder: "https://…" },
    { name: "headers", label: "Headers", kind: "templates" },
    { name: "body", label: "Body", kind: "json", help: "Any JSON; its texts may hold ${…}" },
    {
      name: "expect_status",
      label: "Expected status",
      kind: "json",
      help: "One, or a list; without it any of 200 to 299",
    },
    {
      name: "wait_for_callback",
      label: "Wait to be called back",
      kind: "flag",
      unwritten: false,
      help: "Completes when ${callback.url} is posted to",
    },
    QUEUE,
  ],
  sql: [
    {
      name: "connection",
      label: "Connection",
      kind: "text",
      isRequired: true,
      help: "The name of the secret that holds the database's URL",
    },
    {
      name: "query",
      label: "Query",
      kind: "code",
      isRequired: true,
      help: "Parameters go beside it: $1, $2, …",
    },
    {
      name: "parameters",
      label: "Parameters",
      kind: "json",
      help: "A list for $1, $2, …, or an object for named ones",
    },
    { name: "max_rows", label: "Rows at most", kind: "number", placeholder: "10000" },
    QUEUE,
  ],
  prompt_execution: [
    {
      name: "provider_model",
      label: "Provider and model",
      kind: "text",
      isRequired: true,
      placeholder: "ollama:llama3.2",
    },
    { name: "prompt", label: "Prompt", kind: "templateArea", help: "Or a stored one, below" },
    { name: "prompt_id", label: "Stored prompt", kind: "prompt" },
    { name: "prompt_version", label: "Its version", kind: "number", placeholder: "the newest" },
    { name: "system", label: "System prompt", kind: "templateArea" },
    { name: "options", label: "Options", kind: "templates", help: "temperature, max_tokens, …" },
    {
      name: "response_schema",
      label: "Schema of the answer",
      kind: "json",
      help: "With it the answer must be JSON that fits",
    },
    QUEUE,
  ],
  condition: [
    {
      name: "condition",
      label: "Condition",
      kind: "cel",
      isRequired: true,
      placeholder: "input.amount > 100",
    },
    { name: "true_path", label: "If true, go to", kind: "nodes" },
    { name: "false_path", label: "If false, go to", kind: "nodes" },
  ],
  loop: [
    {
      name: "loop_type",
      label: "Runs its body",
      kind: "choice",
      options: [
        ["for_each", "for each item of a list"],
        ["while", "while a condition holds"],
        ["count", "a number of times"],
      ],
    },
    { name: "body", label: "Body", kind: "body" },
    {
      name: "array_source",
      label: "List",
      kind: "value",
      placeholder: "${input.items}",
      when: is("loop_type", "for_each"),
    },
    {
      name: "condition",
      label: "As long as",
      kind: "cel",
      placeholder: "index < 3",
      when: is("loop_type", "while"),
    },
    {
      name: "count",
      label: "How often",
      kind: "value",
      placeholder: "10",
      when: is("loop_type", "count"),
    },
    { name: "max_iterations", label: "Turns at most", kind: "number", placeholder: "1000" },
    {
      name: "max_parallel",
      label: "Turns at the same time",
      kind: "number",
      placeholder: "1",
      help: "With 1, previous is the last turn's output",
      when: is("loop_type", "for_each", "count"),
    },
  ],
  parallel: [
    { name: "branches", label: "Branches", kind: "branches" },
    { name: "wait_for", label: "Its merge waits for", kind: "choice", options: MODES },
    { name: "required_count", label: "How many", kind: "number", when: is("wait_for", "count") },
  ],
  merge: [
    {
      name: "parallel_node_id",
      label: "Joins the branches of",
      kind: "node",
      type: "parallel",
      isRequired: true,
    },
    { name: "mode", label: "Waits for", kind: "choice", options: MODES },
    { name: "required_count", label: "How many", kind: "number", when: is("mode", "count") },
  ],
  delay: [
    {
      name: "duration_ms",
      label: "How long (ms)",
      kind: "value",
      placeholder: "60000",
      help: "A number, or an expression for one",
    },
    { name: "until", label: "Or until", kind: "template", placeholder: "2027-01-01T00:00:00Z" },
  ],
  wait_event: [
    { name: "event_type", label: "Event type", kind: "template", isRequired: true, help: "Exact, or with *" },
    { name: "source", label: "Source", kind: "template", placeholder: "*", unwritten: "*" },
    { name: "filter", label: "Filter", kind: "cel", placeholder: "event.data.id == input.id" },
    {
      name: "on_timeout",
      label: "When the timeout is over",
      kind: "choice",
      unwritten: "fail",
      options: [
        ["fail", "it fails"],
        ["continue", "it goes on without an event"],
      ],
    },
  ],
  data_transform: [
    { name: "expressions", label: "Expressions", kind: "templates", columns: ["Name", "Expression"] },
  ],
  human_approval: [
    { name: "message", label: "Message", kind: "templateArea", help: "What the people who decide read" },
    {
      name: "approvers",
      label: "Approvers",
      kind: "texts",
      help: "Names of users; without any, everybody who may approve",
    },
    {
      name: "on_timeout",
      label: "When the timeout is over",
      kind: "choice",
      unwritten: "fail",
      options: [
        ["fail", "it fails"],
        ["approve", "it is approved"],
        ["reject", "it is rejected"],
      ],
    },
  ],
  workflow: [
    { name: "workflow_id", label: "Workflow", kind: "workflow", isRequired: true },
    { name: "version", label: "Version", kind: "number", placeholder: "the newest" },
    { name: "input", label: "Its input", kind: "templates", help: "Without it, the node's own input" },
  ],
};

const PER_ATTEMPT: ReadonlySet<string> = new Set(["job", "script", "webhook", "sql", "prompt_execution"]);

const RUN_IF = [
  [
    "all_success",
    "all before it succeeded",
    "Runs when every active edge is satisfied; ways that are not taken do not count.",
  ],
  ["all_done", "all before it have ended", "Runs always, however they ended: for cleaning up."],
  [
    "none_failed",
    "none before it failed",
    "Runs when none failed or was cancelled; skipped ones do not matter.",
  ],
  ["at_least_one_success", "one before it succeeded", "Runs when at least one completed."],
  ["at_least_one_failed", "one before it failed", "Runs when at least one failed: for telling somebody."],
  ["all_failed", "all before it failed", "Runs when every one failed: a last resort."],
] as const;

/** What every node can be told, in groups. */
export function commonFields(type: string): { title: string; fields: FieldSpec[] }[] {
  return [
    {
      title: "When it runs",
      fields: [
        {
          name: "run_if",
          label: "Runs if",
          kind: "choice",
          unwritten: "all_success",
          options: RUN_IF.map(([value, label]) => [value, label] as const),
          helpOf: (value) => RUN_IF.find(([one]) => one === value)?.[2],
        },
        {
          name: "for_each",
          label: "For each item of",
          kind: "value",
          placeholder: "${input.items}",
          help: "A list: the node becomes one instance per item, which sees item and index",
          when: () => type !== "loop",
        },
        {
          name: "max_parallel",
          label: "Instances at the same time",
          kind: "number",
          when: (of) => type !== "loop" && fieldOf(of, "for_each") !== undefined,
        },
      ],
    },
    {
      title: "What goes in and out",
      fields: [
        {
          name: "input_mapping",
          label: "Input",
          kind: "templates",
          help: "Without it: what edges route here, else the output of the node before, else the run's input",
        },
        {
          name: "output_mapping",
          label: "Sets variables of the run",
          kind: "templates",
          columns: ["Variable", "Value"],
          help: "Templates over output",
        },
        { name: "inputs", label: "Input ports", kind: "ports" },
        { name: "outputs", label: "Output ports", kind: "ports" },
      ],
    },
    {
      title: "Failures and time",
      fields: [
        {
          name: "timeout_ms",
          label: PER_ATTEMPT.has(type) ? "Timeout of one attempt" : "Timeout",
          kind: "ms",
        },
        { name: "allow_failure", label: "The run may go on when it fails", kind: "flag", unwritten: false },
        {
          name: "retry_policy.max_attempts",
          label: "Attempts",
          kind: "number",
          help: "The first counts too",
        },
        { name: "retry_policy.delay_ms", label: "Wait before the second", kind: "ms", when: hasRetries },
        {
          name: "retry_policy.backoff_multiplier",
          label: "Each wait is so many times the last",
          kind: "number",
          when: hasRetries,
        },
        { name: "retry_policy.max_delay_ms", label: "Wait at most", kind: "ms", when: hasRetries },
        {
          name: "retry_policy.jitter",
          label: "Spread the waits at random",
          kind: "flag",
          unwritten: false,
          when: hasRetries,
        },
        {
          name: "retry_policy.retry_on_errors",
          label: "Only on these errors",
          kind: "texts",
          placeholder: "HTTP_ERROR",
          when: hasRetries,
        },
      ],
    },
    {
      title: "Limits and cache",
      fields: [
        {
          name: "cache_key",
          label: "Cache key",
          kind: "template",
          help: "With the same key the output of an earlier run is taken",
        },
        { name: "pool", label: "Pool", kind: "text", help: "A named limit that workflows share" },
        { name: "resources.slots", label: "Slots of the worker", kind: "number", placeholder: "1" },
        { name: "resources.memory_mb", label: "Memory of the worker (MB)", kind: "number" },
      ],
    },
  ];
}

function hasRetries(of: Fields): boolean {
  return fieldOf(of, "retry_policy") !== undefined;
}
