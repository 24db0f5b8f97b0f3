/* What a trigger does, as a sentence. What stands between backticks is code. */
import { took } from "../ui/times";
import { cronInWords } from "./cron";
import type { DependencyTrigger, EventTrigger, ScheduleTrigger, Trigger, WebhookTrigger } from "./trigger";

/** `fires when an event of type `order.*` comes and `event.data.size > 10`` */
export function inWords(trigger: Trigger): string {
  const said = [main(trigger), ...timing(trigger)].join(", ");
  return trigger.enabled ? said : `switched off; ${said}`;
}

function main(trigger: Trigger): string {
  switch (trigger.type) {
    case "event":
      return eventWords(trigger);
    case "schedule":
      return scheduleWords(trigger);
    case "dependency":
      return dependencyWords(trigger);
    case "webhook":
      return webhookWords(trigger);
    case "manual":
      return "fires when somebody starts it by hand, or a program does";
  }
}

function eventWords({ config }: EventTrigger): string {
  const type = config.event_type === "*" ? "any event" : `an event of type ${code(config.event_type)}`;
  const source = config.source === "*" ? "" : ` from ${code(config.source)}`;
  const filter = config.filter === null ? "" : ` and ${code(config.filter)}`;
  if (config.absent_for_ms !== null) {
    const without = type === "any event" ? "event" : type.slice("an ".length);
    return `fires when for ${took(config.absent_for_ms)} no ${without}${source} comes${filter === "" ? "" : ` with${filter.slice(" and".length)}`}`;
  }
  if (config.batch !== null) {
    const { count, window_ms: window } = config.batch;
    return `gathers each time ${type}${source} comes${filter}, and fires at the ${ordinal(count)}, or ${took(window)} after the first`;
  }
  return `fires when ${type}${source} comes${filter}`;
}

function scheduleWords({ config }: ScheduleTrigger): string {
  const when =
    config.cron === null
      ? `every ${config.every_ms === null ? "so often" : took(config.every_ms)}`
      : cronInWords(config.cron);
  const said = [`fires ${when}${config.cron === null ? "" : ` (${config.timezone})`}`];
  if (config.start_at !== null) said.push(`from ${config.start_at} on`);
  if (config.end_at !== null) said.push(`until ${config.end_at}`);
  if (config.exclude_dates.length > 0) said.push(`not on ${listed(config.exclude_dates)}`);
  if (config.jitter_ms > 0) said.push(`up to ${took(config.jitter_ms)} later, to spread the load`);
  return said.join(", ");
}

const endings = { on_success: "succeeds", on_failure: "fails", on_completion: "ends, however it does" };

function dependencyWords({ config }: DependencyTrigger): string {
  if (config.upstreams.length === 0) return "waits for no workflow yet";
  const runs = config.upstreams.map(
    ({ workflow_id: id, condition }) =>
      `a run of ${id === "" ? "a workflow" : code(id)} ${endings[condition]}`,
  );
  if (config.logic === "any" || runs.length === 1) return `fires when ${listed(runs, "or")}`;
  const by = config.correlate_by === null ? "" : ` for the same ${code(config.correlate_by)}`;
  return `fires once ${listed(runs)}${by}, within ${took(config.window_ms)}`;
}

const providers = { standard: "", github: " by GitHub", stripe: " by Stripe", slack: " by Slack" };

function webhookWords({ config }: WebhookTrigger): string {
  const filter = config.filter === null ? "" : ` and ${code(config.filter)}`;
  return `fires when a request signed${providers[config.provider]}${config.provider === "standard" ? " with its secret" : ""} is posted${filter}`;
}

function timing({ debounce_ms: quiet, delay_ms: delay, limit }: Trigger): string[] {
  const said: string[] = [];
  if (quiet !== null) said.push(`once it has been quiet for ${took(quiet)}`);
  if (delay !== null) said.push(`${took(delay)} later`);
  if (limit !== null) said.push(`at most ${times(limit.max_fires)} in ${took(limit.per_ms)}`);
  return said;
}

function times(count: number): string {
  return count === 1 ? "once" : count === 2 ? "twice" : `${count} times`;
}

function ordinal(count: number): string {
  const teen = count % 100 > 10 && count % 100 < 14;
  const end = teen ? "th" : (["th", "st", "nd", "rd"][count % 10] ?? "th");
  return `${count}${end}`;
}

export function listed(items: string[], last = "and"): string {
  if (items.length < 2) return items.join("");
  return `${items.slice(0, -1).join(", ")} ${last} ${items.at(-1) ?? ""}`;
}

export function code(text: string): string {
  return `\`${text}\``;
}
