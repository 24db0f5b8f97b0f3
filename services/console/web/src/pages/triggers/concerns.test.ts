import { expect, test } from "vitest";
import { concerns, jobTypeOf } from "./concerns";

test("an answer concerns the trigger that gave it, whether it started a run or not", () => {
  expect(concerns({ trigger_id: "order" }, "order")).toBe(true);
  expect(concerns({ trigger: { type: "event", id: "order" } }, "order")).toBe(true);
  expect(concerns({ trigger_id: "other" }, "order")).toBe(false);
  expect(concerns(null, "order")).toBe(false);
});

test("triggers of job types are named by the type or the id", () => {
  expect([jobTypeOf("train"), jobTypeOf("TRAIN"), jobTypeOf("training")]).toEqual(["TRAIN", "TRAIN", null]);
  expect(concerns({ trigger_id: "train" }, "TRAIN")).toBe(true);
});
