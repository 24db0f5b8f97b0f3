/* The audit trail in words, and the way to what it names. */
import type { Schemas } from "../../api/client";
import { shortId } from "../../ui/shortId";

export type Entry = Schemas["AuditEntry"];

export const RESOURCES = [
  "workflow",
  "trigger",
  "run",
  "node",
  "approval",
  "event",
  "template",
  "prompt",
  "secret",
  "dead_letter",
  "subscription",
  "user",
  "archive",
  "payload",
];

const DEEDS: Record<string, string> = {
  create_workflow: "created",
  update_workflow: "saved a new version of",
  archive_workflow: "archived",
  execute: "ran",
  approve: "approved",
  reject: "rejected",
  publish_event: "published",
  receive_webhook: "posted to",
  fire_trigger: "fired",
  backfill: "made up for the past of",
  callback: "called back",
  fork: "forked into",
  retry_dead_letter: "retried",
  erase: "erased",
  restore: "restored",
  archive: "archived",
  create_key: "made a key for",
  revoke_key: "withdrew a key of",
  make_login_link: "made a login link for",
};

/** `update_workflow` of a workflow is `saved a new version of`; what is not known is said as it is. */
export function deedOf({ action, resource }: Pick<Entry, "action" | "resource">): string {
  const known = DEEDS[action];
  if (known !== undefined) return known;
  const verb = action.endsWith(`_${resource}`) ? action.slice(0, -resource.length - 1) : action;
  return past(verb.replaceAll("_", " "));
}

function past(verb: string): string {
  const [first = "", ...rest] = verb.split(" ");
  const irregular: Record<string, string> = {
    set: "set",
    skip: "skipped",
    cancel: "cancelled",
    step: "stepped",
    run: "ran",
  };
  const said =
    irregular[first] ??
    (first.endsWith("e")
      ? `${first}d`
      : /[^aeiou]y$/.test(first)
        ? `${first.slice(0, -1)}ied`
        : `${first}ed`);
  return [said, ...rest].join(" ");
}

/** What it was done to, with runs by the end of their id as everywhere: `node`, `load`, `run 395d2c76`. */
export function thingOf({ resource, subject }: Pick<Entry, "resource" | "subject">): {
  kind: string;
  name: string;
  of: string | null;
} {
  const kind = resource.replaceAll("_", " ");
  const cut = subject.indexOf("/");
  if (resource === "run") return { kind, name: shortId(subject), of: null };
  if (cut > 0 && (resource === "node" || resource === "approval"))
    return { kind, name: subject.slice(cut + 1), of: `run ${shortId(subject.slice(0, cut))}` };
  if (cut > 0 && resource === "trigger")
    return { kind, name: subject.slice(cut + 1), of: subject.slice(0, cut) };
  return { kind, name: subject, of: null };
}

/** Where the thing is shown; null where it has no page. */
export function pageOf({ resource, subject, workflow_id: workflowId }: Entry): string | null {
  switch (resource) {
    case "workflow":
      return `/workflows/${subject}`;
    case "trigger":
      return `/workflows/${subject.replace("/", "/triggers/")}`;
    case "run":
      return `/runs/${subject}`;
    case "node":
    case "approval":
      return placeOf(subject);
    case "event":
      return eventOf(subject);
    case "template":
      return "/templates";
    case "dead_letter":
      return "/dead-letters";
    case "user":
      return "/people";
    default:
      return workflowId === null ? null : `/workflows/${workflowId}`;
  }
}

/** `<run>/<node>[<instance>]` */
function placeOf(subject: string): string {
  const [run = "", node = ""] = subject.split("/");
  const id = node.split("[")[0] ?? "";
  return id === "" ? `/runs/${run}` : `/runs/${run}?node=${encodeURIComponent(id)}`;
}

/** `<source> <id>` */
function eventOf(subject: string): string {
  const cut = subject.lastIndexOf(" ");
  return `/events?id=${encodeURIComponent(subject.slice(cut + 1))}`;
}
