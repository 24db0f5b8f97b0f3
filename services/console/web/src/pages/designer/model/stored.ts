/* From a workflow as the server tells it to a definition as somebody would write it. */
import { asDefinition, isFault, isFields, withKey, type Definition, type Fields } from "./definition";

const READ_ONLY: ReadonlySet<string> = new Set([
  "version",
  "created_at",
  "updated_at",
  "created_by",
  "position",
]);

/** Without what only reading gives, and without what says no more than its absence. Throws where it is no definition. */
export function authored(view: Fields): Definition {
  const fields: Fields = {};
  for (const [key, value] of Object.entries(view)) {
    if (READ_ONLY.has(key) || isNothing(value) || isDefault(key, value)) continue;
    fields[key] = key === "settings" ? settingsOf(value as Fields) : value;
  }
  if (isNothing(fields["settings"])) delete fields["settings"];
  fields["nodes"] ??= [];
  if (Array.isArray(fields["triggers"])) fields["triggers"] = fields["triggers"].map(triggerOf);
  const definition = asDefinition(fields);
  if (isFault(definition)) throw new Error(definition.fault);
  return definition;
}

function settingsOf(settings: Fields): Fields {
  return Object.fromEntries(
    Object.entries(settings).filter(([key, value]) => !isNothing(value) && SETTINGS_DEFAULTS[key] !== value),
  );
}

const SETTINGS_DEFAULTS: Fields = { max_parallel_jobs: 5, fail_fast: true };

function triggerOf(trigger: unknown): unknown {
  if (!isFields(trigger)) return trigger;
  const short = trigger["enabled"] === true ? withKey(trigger, "enabled", undefined) : trigger;
  return ["name", "config"].reduce(
    (rest, key) => (isNothing(rest[key]) ? withKey(rest, key, undefined) : rest),
    short,
  );
}

function isDefault(key: string, value: unknown): boolean {
  if (key === "status") return value === "active";
  if (key !== "trigger_configs" || !Array.isArray(value)) return false;
  return value.every((config) => isFields(config) && config["is_enabled"] === false);
}

function isNothing(value: unknown): boolean {
  if (value === null || value === undefined || value === "") return true;
  if (Array.isArray(value)) return value.length === 0;
  return isFields(value) && Object.keys(value).length === 0;
}
