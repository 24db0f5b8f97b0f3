/* What can be done with a definition's triggers. */
import { withKey, type Definition, type Fields, type TriggerDef } from "./definition";
import { unusedId } from "./slugs";

/** By type: what a new trigger begins with. */
const CONFIGS: Record<string, Fields> = {
  manual: {},
  schedule: { cron: "0 6 * * *", timezone: "UTC" },
  event: { event_type: "something.happened" },
  dependency: { upstreams: [] },
  webhook: {},
};

export function addTrigger(definition: Definition, type: string): Definition {
  const triggers = definition.triggers ?? [];
  const id = unusedId(type, new Set(triggers.map((trigger) => trigger.id)));
  const config = CONFIGS[type] ?? {};
  const trigger: TriggerDef = { id, type, ...(Object.keys(config).length === 0 ? {} : { config }) };
  return { ...definition, triggers: [...triggers, trigger] };
}

export function changeTrigger(
  definition: Definition,
  index: number,
  change: (trigger: TriggerDef) => TriggerDef,
): Definition {
  return {
    ...definition,
    triggers: (definition.triggers ?? []).map((trigger, at) => (at === index ? change(trigger) : trigger)),
  };
}

export function removeTrigger(definition: Definition, index: number): Definition {
  const left = (definition.triggers ?? []).filter((_trigger, at) => at !== index);
  return withKey(definition, "triggers", left.length === 0 ? undefined : left);
}
