import { expect, it } from "vitest";
import { byTrigger } from "./active";

const run = (id: string, status: string, minute: number) => ({
  status,
  trigger: { type: "event", id },
  created_at: `2026-11-29T12:${String(minute).padStart(2, "0")}:00Z`,
});

it("counts what runs by its trigger, the most first, with the oldest of each", () => {
  const told = byTrigger([
    run("a", "running", 5),
    run("b", "pending", 1),
    run("b", "running", 3),
    run("b", "paused", 2),
  ]);
  expect(told.map(({ id, running, pending, paused }) => [id, running, pending, paused])).toEqual([
    ["b", 1, 1, 1],
    ["a", 1, 0, 0],
  ]);
  expect(told[0]?.oldest_at).toBe("2026-11-29T12:01:00Z");
  expect(byTrigger([])).toEqual([]);
});
