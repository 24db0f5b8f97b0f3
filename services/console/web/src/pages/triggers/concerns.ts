import { fieldsOf } from "../../api/narrow";

const JOB_TYPES = ["TRAIN", "DOWNLOAD_MODEL", "LOAD_MODEL", "EXPORT_MODEL", "EVAL", "GENERATE"];

/** The job type whose trigger has this id; null of any other. */
export function jobTypeOf(triggerId: string): string | null {
  return JOB_TYPES.find((type) => type === triggerId.toUpperCase()) ?? null;
}

/** Whether a logged event is an answer of this trigger: `TriggerDecided` names it, `WorkflowTriggered` has it inside. */
export function concerns(data: unknown, triggerId: string): boolean {
  const of = fieldsOf(data);
  return [of["trigger_id"], fieldsOf(of["trigger"])["id"]].includes(
    jobTypeOf(triggerId) === null ? triggerId : triggerId.toLowerCase(),
  );
}
