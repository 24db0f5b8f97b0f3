/* A trigger as it is written in a definition: read with every default filled in, and written without them again. */
import type { Schemas } from "../api/client";
import { fieldsOf, isObject, listOf, numberOf, textOf, textsOf, type Fields } from "../api/narrow";
import { JOB_TYPE_IDS } from "./jobTypes";

/** What may be left out is filled in here; what has no default, and need not be there, stays so. */
type Read<
  T extends { config?: unknown; input?: unknown },
  Config = Required<NonNullable<T["config"]>>,
> = Required<Omit<T, "config" | "input">> & Pick<T, "input"> & { config: Config };
type WebhookConfig = NonNullable<Schemas["WebhookTrigger"]["config"]>;
type DependencyConfig = Schemas["DependencyTrigger"]["config"];

export type EventTrigger = Read<Schemas["EventTrigger"]>;
export type ScheduleTrigger = Read<Schemas["ScheduleTrigger"]>;
export type DependencyTrigger = Read<
  Schemas["DependencyTrigger"],
  Required<Omit<DependencyConfig, "upstreams">> & {
    upstreams: Required<DependencyConfig["upstreams"][number]>[];
  }
>;
export type WebhookTrigger = Read<
  Schemas["WebhookTrigger"],
  Required<Omit<WebhookConfig, "secret">> & Pick<WebhookConfig, "secret">
>;
export type ManualTrigger = Read<Schemas["ManualTrigger"]>;
export type Trigger = EventTrigger | ScheduleTrigger | DependencyTrigger | WebhookTrigger | ManualTrigger;
export type TriggerType = Trigger["type"];

const WINDOW_MS = 30 * 86_400_000;
const TOLERANCE_MS = 300_000;
const OVERLAP_MS = 86_400_000;

function oneOf<T extends string>(value: unknown, choices: readonly T[], otherwise: T): T {
  return choices.find((choice) => choice === value) ?? otherwise;
}

/** Whatever was written, as a trigger; a type that is not known is one by hand. */
export function readTrigger(value: unknown): Trigger {
  const of = fieldsOf(value);
  const config = fieldsOf(of["config"]);
  const limit = fieldsOf(of["limit"]);
  const maxFires = numberOf(limit["max_fires"]);
  const perMs = numberOf(limit["per_ms"]);
  const common = {
    id: textOf(of["id"]) ?? "",
    name: textOf(of["name"]) ?? "",
    enabled: of["enabled"] !== false,
    ...(of["input"] === undefined ? {} : { input: of["input"] }),
    delay_ms: numberOf(of["delay_ms"]),
    debounce_ms: numberOf(of["debounce_ms"]),
    limit: maxFires === null || perMs === null ? null : { max_fires: maxFires, per_ms: perMs },
  };
  switch (of["type"]) {
    case "event":
      return { ...common, type: "event", config: eventConfig(config) };
    case "schedule":
      return { ...common, type: "schedule", config: scheduleConfig(config) };
    case "dependency":
      return { ...common, type: "dependency", config: dependencyConfig(config) };
    case "webhook":
      return { ...common, type: "webhook", config: webhookConfig(config) };
    default:
      return { ...common, type: "manual", config: {} };
  }
}

function eventConfig(of: Fields): EventTrigger["config"] {
  const batch = fieldsOf(of["batch"]);
  const count = numberOf(batch["count"]);
  const windowMs = numberOf(batch["window_ms"]);
  return {
    event_type: textOf(of["event_type"]) ?? "",
    source: textOf(of["source"]) ?? "*",
    filter: textOf(of["filter"]),
    batch: count === null || windowMs === null ? null : { count, window_ms: windowMs },
    absent_for_ms: numberOf(of["absent_for_ms"]),
  };
}

function scheduleConfig(of: Fields): ScheduleTrigger["config"] {
  return {
    cron: textOf(of["cron"]),
    every_ms: numberOf(of["every_ms"]),
    timezone: textOf(of["timezone"]) ?? "UTC",
    start_at: textOf(of["start_at"]),
    end_at: textOf(of["end_at"]),
    exclude_dates: textsOf(of["exclude_dates"]),
    catch_up: oneOf(of["catch_up"], ["none", "latest", "all"], "latest"),
    jitter_ms: numberOf(of["jitter_ms"]) ?? 0,
  };
}

function dependencyConfig(of: Fields): DependencyTrigger["config"] {
  return {
    upstreams: listOf(of["upstreams"]).map((one) => {
      const upstream = fieldsOf(one);
      return {
        workflow_id: textOf(upstream["workflow_id"]) ?? "",
        condition: oneOf(upstream["condition"], ["on_success", "on_failure", "on_completion"], "on_success"),
      };
    }),
    logic: oneOf(of["logic"], ["any", "all"], "any"),
    window_ms: numberOf(of["window_ms"]) ?? WINDOW_MS,
    correlate_by: textOf(of["correlate_by"]),
  };
}

function webhookConfig(of: Fields): WebhookTrigger["config"] {
  const secret = textOf(of["secret"]);
  return {
    ...(secret === null ? {} : { secret }),
    filter: textOf(of["filter"]),
    provider: oneOf(of["provider"], ["standard", "github", "stripe", "slack"], "standard"),
    tolerance_ms: numberOf(of["tolerance_ms"]) ?? TOLERANCE_MS,
    secret_overlap_ms: numberOf(of["secret_overlap_ms"]) ?? OVERLAP_MS,
    secret_refs: [],
  };
}

/** A new one, to be filled in. */
export function blank(type: TriggerType): Trigger {
  const config = type === "schedule" ? { cron: "0 2 * * *", timezone: ownZone() } : {};
  return readTrigger({ id: "", type, config });
}

function ownZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** As people would write it: what is said anyway is left out. */
export function written(trigger: Trigger): Fields {
  const bare = fieldsOf(readTrigger({ type: trigger.type }));
  const { config, ...common } = trigger;
  const bareConfig = fieldsOf(bare["config"]);
  const said = (of: Fields, defaults: Fields, always: string[]) =>
    Object.fromEntries(
      Object.entries(of).filter(([name, value]) => always.includes(name) || !isSame(value, defaults[name])),
    );
  return {
    ...said({ ...common }, bare, ["id", "type"]),
    config: said({ ...config }, bareConfig, ["event_type", "upstreams"]),
  };
}

export function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** The JSON merge patch (RFC 7396) that makes one of the other; null where they say the same. */
export function patchOf(before: Fields, after: Fields): Fields | null {
  const changed: Fields = {};
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const one = before[name];
    const other = after[name];
    if (isSame(one, other)) continue;
    const nested = isObject(one) && isObject(other) ? patchOf(one, other) : other;
    changed[name] = other === undefined ? null : nested;
  }
  return Object.keys(changed).length === 0 ? null : changed;
}

/** `Large orders, EU` becomes `large-orders-eu`. */
export function slugOf(name: string, taken: string[] = []): string {
  const plain = name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "")
    .slice(0, 56);
  const wanted = plain === "" ? "trigger" : plain;
  for (let number = 1; ; number += 1) {
    const id = number === 1 ? wanted : `${wanted}-${number}`;
    if (!taken.includes(id) && !JOB_TYPE_IDS.includes(id)) return id;
  }
}

/** Its filter, where its type has one. */
export function filterOf(trigger: Trigger): string | null {
  return trigger.type === "event" || trigger.type === "webhook" ? trigger.config.filter : null;
}

export function withFilter(trigger: Trigger, filter: string): Trigger {
  const wanted = filter.trim() === "" ? null : filter;
  if (trigger.type === "event") return { ...trigger, config: { ...trigger.config, filter: wanted } };
  if (trigger.type === "webhook") return { ...trigger, config: { ...trigger.config, filter: wanted } };
  return trigger;
}

/** The description types a free object as one without fields. */
export function asBody(of: Fields): Record<string, never> {
  return of as Record<string, never>;
}
