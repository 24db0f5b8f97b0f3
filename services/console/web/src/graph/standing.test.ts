import { expect, it } from "vitest";
import { standingOf } from "./standing";

it("a share of the work is drawn as percent, and what is not known not at all", () => {
  const told = (progress: number | null) =>
    standingOf({ status: "running", progress, instance_counts: null });
  expect([0, 0.25, 1, null].map((progress) => told(progress).progress)).toEqual([0, 25, 100, null]);
});
