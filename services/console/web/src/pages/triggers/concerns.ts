import { fieldsOf } from "../../api/narrow";
import { JOB_TYPES } from "../../triggers/jobTypes";

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
