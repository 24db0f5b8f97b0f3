/* Events that came in lately and concern a trigger: to complete its expressions from, and to try it with. */
import { api, type Schemas } from "../api/client";
import { isMatch } from "./patterns";
import type { Trigger } from "./trigger";

export type Sample = Schemas["ReceivedEvent"];
const SAMPLES_MAX = 100;

export function useSamples(trigger: Trigger): Sample[] {
  const config = trigger.type === "event" ? trigger.config : null;
  const isExact = config !== null && config.event_type !== "" && !config.event_type.includes("*");
  const recent = api.useQuery(
    "get",
    "/api/events",
    { params: { query: { limit: SAMPLES_MAX, ...(isExact ? { type: config.event_type } : {}) } } },
    { enabled: config !== null },
  );
  if (config === null) return [];
  return (recent.data?.items ?? []).filter(
    ({ type, source }) => isMatch(config.event_type, type) && isMatch(config.source, source),
  );
}

/** An event as its sender would write it; without one what could come. */
export function asSent(sample: Sample | undefined, trigger: Trigger): Record<string, unknown> {
  if (sample === undefined) return made(trigger);
  const { id, source, type, data, subject } = sample;
  return { id, source, type, ...(subject === null ? {} : { subject }), data };
}

function made(trigger: Trigger): Record<string, unknown> {
  if (trigger.type === "webhook") return { data: {} };
  const config = trigger.type === "event" ? trigger.config : { event_type: "example", source: "*" };
  return {
    id: "example",
    source: config.source.replaceAll("*", "example"),
    type: config.event_type === "" ? "example" : config.event_type.replaceAll("*", "example"),
    data: {},
  };
}
