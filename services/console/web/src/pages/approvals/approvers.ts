import { textsOf } from "../../api/narrow";

/** Whether this user may decide: without named approvers anybody who may operate runs. */
export function mayDecide(approvers: unknown, user: string): boolean {
  const names = textsOf(approvers);
  return names.length === 0 || names.includes(user);
}

export function whoMay(approvers: unknown): string {
  const names = textsOf(approvers);
  return names.length === 0 ? "anybody who may run workflows" : names.join(", ");
}
