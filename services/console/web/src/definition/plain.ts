/* A definition as its author would write it: without what the server adds, and without defaults. */
import { stringify } from "yaml";
import { isObject } from "../api/narrow";

export type Definition = Record<string, unknown>;

/** Known of a workflow, and no part of its definition. */
const OF_THE_SERVER = ["version", "created_at", "updated_at", "created_by"];
const ORDER = [
  "id",
  "name",
  "description",
  "experiment_id",
  "tags",
  "status",
  "variables",
  "input_schema",
  "output_mapping",
  "settings",
  "nodes",
  "edges",
  "triggers",
  "trigger_configs",
];
const SETTINGS: Definition = { max_parallel_jobs: 5, fail_fast: true };
const EDGE_FIELDS_THAT_MAY_BE_NULL = ["id", "source_output", "target_input", "dependency", "condition"];

/** What the server was given, as it gives it back: every field, and nothing that it knows beside. */
export function written(read: Definition): Definition {
  return Object.fromEntries(Object.entries(read).filter(([name]) => !OF_THE_SERVER.includes(name)));
}

/** The same definition, in the order in which people write it; saved again, it changes nothing. */
export function plain(read: Definition): Definition {
  const fields = written(read);
  fields["settings"] = settings(fields["settings"]);
  fields["edges"] = each(fields["edges"], (edge) => without(edge, EDGE_FIELDS_THAT_MAY_BE_NULL));
  fields["nodes"] = each(fields["nodes"], node);
  fields["triggers"] = each(fields["triggers"], trigger);
  fields["variables"] = each(fields["variables"], variable);
  if (!isOneEnabled(fields["trigger_configs"])) delete fields["trigger_configs"];
  if (fields["status"] === "active") delete fields["status"];
  const names = [...ORDER, ...Object.keys(fields).filter((name) => !ORDER.includes(name))];
  return Object.fromEntries(
    names.filter((name) => !isNothing(fields[name])).map((name) => [name, fields[name]]),
  );
}

export function toYaml(definition: Definition): string {
  return stringify(definition, { lineWidth: 100, aliasDuplicateObjects: false });
}

/** Absent, or what absent means for every field of a definition. */
function isNothing(value: unknown): boolean {
  if (value === undefined || value === null || value === "") return true;
  return Array.isArray(value) ? value.length === 0 : isObject(value) && Object.keys(value).length === 0;
}

function each(value: unknown, of: (one: Definition) => Definition): unknown {
  return Array.isArray(value) ? value.map((one: unknown) => (isObject(one) ? of(one) : one)) : value;
}

function without(one: Definition, names: string[]): Definition {
  return Object.fromEntries(
    Object.entries(one).filter(([name, value]) => value !== null || !names.includes(name)),
  );
}

function settings(value: unknown): unknown {
  if (!isObject(value)) return value;
  const told = Object.entries(value).filter(
    ([name, given]) => !isNothing(given) && !(name in SETTINGS && SETTINGS[name] === given),
  );
  return Object.fromEntries(told);
}

function node(one: Definition): Definition {
  const fields = Object.fromEntries(
    Object.entries(one).filter(([name, value]) => value !== null || name === "payload" || name === "input"),
  );
  if (fields["name"] === fields["id"] || fields["name"] === "") delete fields["name"];
  return fields;
}

function trigger(one: Definition): Definition {
  const fields = Object.fromEntries(Object.entries(one).filter(([, value]) => value !== null));
  if (fields["enabled"] === true) delete fields["enabled"];
  if (fields["name"] === "") delete fields["name"];
  if (isNothing(fields["config"])) delete fields["config"];
  const { id, name, type, ...rest } = fields;
  return { id, ...(name === undefined ? {} : { name }), type, ...rest };
}

function variable(one: Definition): Definition {
  const { type, description, ...rest } = one;
  return {
    ...rest,
    ...(type === "string" || type === undefined ? {} : { type }),
    ...(description === "" || description === undefined ? {} : { description }),
  };
}

function isOneEnabled(value: unknown): boolean {
  return Array.isArray(value) && value.some((one) => isObject(one) && one["is_enabled"] === true);
}
