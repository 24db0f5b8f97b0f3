/* What can be done with a definition's triggers. */
import { isFields, withKey, type Definition, type Fields, type TriggerDef } from "./definition";

export function addTrigger(definition: Definition, trigger: TriggerDef): Definition {
  return { ...definition, triggers: [...(definition.triggers ?? []), trigger] };
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

/** A JSON merge patch applied (RFC 7396). */
export function merged(fields: Fields, patch: Fields): Fields {
  return Object.entries(patch).reduce<Fields>((before, [name, value]) => {
    if (value === null) return withKey(before, name, undefined);
    const old = before[name];
    return { ...before, [name]: isFields(value) ? merged(isFields(old) ? old : {}, value) : value };
  }, fields);
}
