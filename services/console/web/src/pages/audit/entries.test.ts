import { expect, test } from "vitest";
import { deedOf, pageOf, thingOf, type Entry } from "./entries";

const entry = (resource: string, action: string, subject: string, workflow: string | null = null): Entry => ({
  position: 1,
  actor: "ada",
  action,
  resource,
  subject,
  workflow_id: workflow,
  at: "2026-11-29T09:00:00Z",
});

test.each([
  ["workflow", "update_workflow", "saved a new version of"],
  ["run", "cancel", "cancelled"],
  ["run", "pause", "paused"],
  ["run", "retry", "retried"],
  ["node", "skip_node", "skipped"],
  ["node", "complete_node", "completed"],
  ["secret", "set_secret", "set"],
  ["user", "add_user", "added"],
  ["subscription", "delete_subscription", "deleted"],
])("a %s: %s is said as %s", (resource, action, words) => {
  expect(deedOf({ resource, action })).toBe(words);
});

test("a thing is named as elsewhere in the console", () => {
  const run = "01a226db-83d3-7812-ae13-3123395d2c76";
  expect(thingOf({ resource: "run", subject: run })).toEqual({ kind: "run", name: "395d2c76", of: null });
  expect(thingOf({ resource: "node", subject: `${run}/load` })).toEqual({
    kind: "node",
    name: "load",
    of: "run 395d2c76",
  });
  expect(thingOf({ resource: "trigger", subject: "orders/hourly" })).toEqual({
    kind: "trigger",
    name: "hourly",
    of: "orders",
  });
  expect(thingOf({ resource: "dead_letter", subject: "a b" })).toEqual({
    kind: "dead letter",
    name: "a b",
    of: null,
  });
});

test("what was done leads to the thing that it was done to", () => {
  expect(pageOf(entry("trigger", "fire_trigger", "orders/hourly", "orders"))).toBe(
    "/workflows/orders/triggers/hourly",
  );
  expect(pageOf(entry("approval", "approve", "0189/approve[3]"))).toBe("/runs/0189?node=approve");
  expect(pageOf(entry("event", "publish_event", "shop a b c"))).toBe("/events?id=c");
  expect(pageOf(entry("run", "cancel", "0189"))).toBe("/runs/0189");
  expect(pageOf(entry("secret", "set_secret", "token"))).toBeNull();
});
