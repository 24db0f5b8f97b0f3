import { expect, test } from "vitest";
import { blank, patchOf, readTrigger, slugOf, withFilter, written, type TriggerType } from "./trigger";

const order = {
  id: "order",
  type: "event",
  config: { event_type: "order.*", filter: "event.data.size > 10" },
  limit: { max_fires: 5, per_ms: 1000 },
};

test("a trigger is written as it was read, without what is said anyway", () => {
  expect(written(readTrigger(order))).toEqual(order);
  const nightly = { id: "n", type: "schedule", enabled: false, config: { every_ms: 5000, catch_up: "all" } };
  expect(written(readTrigger(nightly))).toEqual(nightly);
  const after = {
    id: "a",
    type: "dependency",
    config: { upstreams: [{ workflow_id: "x", condition: "on_failure" }], logic: "all" },
  };
  expect(written(readTrigger(after))).toEqual(after);
});

test("every type has a blank that can be written", () => {
  const types: TriggerType[] = ["event", "schedule", "dependency", "webhook", "manual"];
  expect(types.map((type) => written(blank(type))["type"])).toEqual(types);
});

test("a secret is written and never made up", () => {
  expect(written(readTrigger({ id: "h", type: "webhook", config: { secret_refs: [{ id: "0" }] } }))).toEqual({
    id: "h",
    type: "webhook",
    config: {},
  });
});

test("a patch names what changed, and what is gone as null", () => {
  const changed = withFilter(readTrigger(order), "event.data.size > 5");
  expect(patchOf(order, written(changed))).toEqual({ config: { filter: "event.data.size > 5" } });
  expect(patchOf(order, written(withFilter(readTrigger(order), " ")))).toEqual({ config: { filter: null } });
  expect(patchOf(order, written({ ...readTrigger(order), limit: null }))).toEqual({ limit: null });
  expect(patchOf(order, written(readTrigger(order)))).toBeNull();
});

test("ids are made of names, and never twice", () => {
  expect(slugOf("Large orders, EU!")).toBe("large-orders-eu");
  expect(slugOf("Órdenes", ["rdenes"])).toBe("rdenes-2");
  expect(slugOf("  ")).toBe("trigger");
  expect(slugOf("Train")).toBe("train-2");
});
