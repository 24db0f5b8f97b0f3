import type { Role } from "../../shell/session";

/** What each may do; each also what those before it may. */
export const roles: { role: Role; does: string }[] = [
  { role: "viewer", does: "looks at everything" },
  { role: "operator", does: "also runs, cancels, approves" },
  { role: "editor", does: "also changes workflows, triggers, secrets" },
  { role: "admin", does: "also people, keys, the audit trail" },
];

export function asRole(value: string | null): Role | null {
  return roles.find(({ role }) => role === value)?.role ?? null;
}

const NAME = /^[a-z0-9][a-z0-9._@-]{0,62}$/;

/** What is wrong with the name of a user; null where nothing is. */
export function faultOfName(name: string): string | null {
  return NAME.test(name)
    ? null
    : "Small letters, digits and . _ @ -, at most 63; it begins with a letter or digit.";
}

export interface Expiry {
  label: string;
  days: number | null;
}

export const expiries: Expiry[] = [
  { label: "in 7 days", days: 7 },
  { label: "in 30 days", days: 30 },
  { label: "in 90 days", days: 90 },
  { label: "in a year", days: 365 },
  { label: "never", days: null },
];

const DAY_MS = 86_400_000;

export function expiresAt({ days }: Expiry, now: number): string | null {
  return days === null ? null : new Date(now + days * DAY_MS).toISOString();
}

/** How a key stands: good, soon to end, or ended. */
export function standing(expires: string | null, now: number): "good" | "soon" | "ended" {
  if (expires === null) return "good";
  const left = Date.parse(expires) - now;
  if (left <= 0) return "ended";
  return left < 7 * DAY_MS ? "soon" : "good";
}
