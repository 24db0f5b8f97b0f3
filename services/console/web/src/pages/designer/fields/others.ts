/* What edges, triggers and the workflow itself can be told. */
import { fieldsOf, type Fields } from "../model/definition";
import type { FieldSpec } from "./spec";

const DEPENDENCIES = [
  ["on_success", "it succeeded"],
  ["on_failure", "it failed"],
  ["on_completion", "it ended, however"],
] as const;

export const EDGE_FIELDS: FieldSpec[] = [
  {
    name: "dependency",
    label: "Leads on when",
    kind: "choice",
    unwritten: "on_success",
    options: DEPENDENCIES,
    help: "Not together with another “Runs if” than the default of the node that it leads to",
  },
  {
    name: "condition",
    label: "Only if",
    kind: "cel",
    placeholder: "nodes.check.output.ok",
    help: "If it is false, this way is not taken",
  },
  { name: "source_output", label: "Named output", kind: "text", help: "Routes this output…" },
  { name: "target_input", label: "Named input", kind: "text", help: "…to this input" },
];

export const WORKFLOW_FIELDS: FieldSpec[] = [
  { name: "description", label: "Description", kind: "area" },
  { name: "tags", label: "Tags", kind: "texts" },
  {
    name: "status",
    label: "Status",
    kind: "choice",
    unwritten: "active",
    help: "Only active ones run by trigger; drafts can be run by hand",
    options: [
      ["active", "active"],
      ["draft", "draft"],
      ["archived", "archived"],
    ],
  },
  { name: "experiment_id", label: "Experiment", kind: "text", help: "The scope of job-type triggers" },
];

const hasConcurrency = (of: Fields) => fieldsOf(of["settings"])["concurrency"] !== undefined;
const retries = (of: Fields) => fieldsOf(fieldsOf(of["settings"])["recovery"])["retry_failed_nodes"] === true;

export const WORKFLOW_GROUPS: { title: string; fields: FieldSpec[] }[] = [
  {
    title: "Input, variables and output",
    fields: [
      { name: "variables", label: "Variables", kind: "variables" },
      {
        name: "input_schema",
        label: "Schema of the input",
        kind: "json",
        help: "JSON Schema; runs with another input are refused",
      },
      {
        name: "output_mapping",
        label: "Output",
        kind: "templates",
        columns: ["Name", "Value"],
        help: "Of the run, for instance ${nodes.report.output}",
      },
    ],
  },
  {
    title: "How it runs",
    fields: [
      {
        name: "settings.max_parallel_jobs",
        label: "Jobs at the same time",
        kind: "number",
        placeholder: "5",
      },
      { name: "settings.fail_fast", label: "The first failure stops the run", kind: "flag", unwritten: true },
      { name: "settings.timeout_ms", label: "Timeout of the run", kind: "ms" },
      { name: "settings.sla_ms", label: "Tell when it takes longer than", kind: "ms" },
      { name: "settings.on_failure.workflow_id", label: "When it fails, start", kind: "workflow" },
    ],
  },
  {
    title: "Several runs at once",
    fields: [
      {
        name: "settings.concurrency.limit",
        label: "Runs at the same time",
        kind: "number",
        placeholder: "no limit",
      },
      {
        name: "settings.concurrency.key",
        label: "For each",
        kind: "template",
        placeholder: "${input.customer}",
        when: hasConcurrency,
      },
      {
        name: "settings.concurrency.on_conflict",
        label: "One too many",
        kind: "choice",
        unwritten: "queue",
        when: hasConcurrency,
        options: [
          ["queue", "waits"],
          ["skip", "is not started"],
          ["cancel_running", "cancels the one that runs"],
        ],
      },
      {
        name: "settings.concurrency.pool",
        label: "Shares its slots with",
        kind: "text",
        placeholder: "name of a pool",
        when: hasConcurrency,
      },
      { name: "settings.queue_timeout_ms", label: "Waits at most", kind: "ms", when: hasConcurrency },
    ],
  },
  {
    title: "Recovery from failures",
    fields: [
      {
        name: "settings.recovery.continue_on_node_failure",
        label: "Go on with what can go on",
        kind: "flag",
        unwritten: false,
      },
      {
        name: "settings.recovery.skip_failed_branches",
        label: "Leave out what lies below a failure",
        kind: "flag",
        unwritten: false,
      },
      {
        name: "settings.recovery.fallback_to_partial_execution",
        label: "End partial when a part completed",
        kind: "flag",
        unwritten: false,
      },
      {
        name: "settings.recovery.retry_failed_nodes",
        label: "Retry nodes that have no policy of their own",
        kind: "flag",
        unwritten: false,
      },
      {
        name: "settings.recovery.max_retry_attempts",
        label: "Further attempts",
        kind: "number",
        when: retries,
      },
    ],
  },
];
