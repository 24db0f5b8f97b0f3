/* What the list of runs shows, as the address says it. */
import { sinceOf } from "../../ui/spans";
import { typedTime } from "../../ui/times";

export const STATUSES = [
  "pending",
  "running",
  "paused",
  "completed",
  "failed",
  "cancelled",
  "partial",
] as const;
export type RunStatus = (typeof STATUSES)[number];
export const TRIGGER_TYPES = [
  "manual",
  "schedule",
  "event",
  "dependency",
  "webhook",
  "fork",
  "on_failure",
] as const;

export interface RunQuery {
  workflow_id?: string;
  status?: RunStatus;
  trigger_type?: string;
  label?: string;
  since?: string;
  until?: string;
  parent_run_id?: string;
  shadow?: boolean;
}

/** The filters in an address; what the server would refuse is left out, and `ignoredOf` tells it. */
export function queryOf(search: URLSearchParams): RunQuery {
  const query: RunQuery = {};
  for (const name of ["workflow_id", "trigger_type", "parent_run_id"] as const) {
    const value = search.get(name);
    if (value !== null && value !== "") query[name] = value;
  }
  const status = STATUSES.find((one) => one === search.get("status"));
  if (status !== undefined) query.status = status;
  const label = search.get("label");
  if (label !== null && isLabel(label)) query.label = label;
  for (const name of ["since", "until"] as const) {
    const at = sinceOf(search.get(name) ?? "");
    if (at !== undefined) query[name] = at;
  }
  const shadow = search.get("shadow");
  if (shadow === "true" || shadow === "false") query.shadow = shadow === "true";
  return query;
}

/** What the address asks for that is no filter: shown as it is, so that nobody takes the whole list for a part of it. */
export function ignoredOf(search: URLSearchParams): string[] {
  const query = queryOf(search);
  return [...search]
    .filter(([name, value]) => value !== "" && !(name in query))
    .map(([name, value]) => `${name}=${value}`);
}

export function isLabel(text: string): boolean {
  return /^[^=]+=./.test(text);
}

/** `2026-11-29T09:00` of the viewer's zone, or any ISO 8601 time, as UTC; null for what is none. */
export function instantOf(text: string | null): string | null {
  if (text === null || text === "") return null;
  const at = new Date(text);
  return Number.isNaN(at.getTime()) ? null : at.toISOString();
}

/** What an `<input type="datetime-local">` shows for a time, or for a span such as `24h`. */
export function fieldOf(text: string | null): string {
  const at = sinceOf(text ?? "");
  return at === undefined ? "" : typedTime(new Date(at));
}
