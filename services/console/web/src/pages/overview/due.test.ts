import { describe, expect, it } from "vitest";
import { askAgainMs, soonest } from "./due";

const NOW = Date.parse("2026-11-29T12:00:00Z");
const due = (workflow_id: string, seconds: number, trigger_id = "t") => ({
  workflow_id,
  trigger_id,
  due_at: new Date(NOW + seconds * 1_000).toISOString(),
});

describe("what is due next", () => {
  it("comes in its order, those of one instant by name", () => {
    const items = [due("b", 60), due("a", 60), due("c", 5), due("a", 60, "s")];
    expect(soonest(items, NOW, 10).map(({ workflow_id, trigger_id }) => workflow_id + trigger_id)).toEqual([
      "ct",
      "as",
      "at",
      "bt",
    ]);
  });
  it("leaves out what has passed, and what is more than asked for", () => {
    expect(soonest([due("old", -1), due("a", 1), due("b", 2)], NOW, 1).map((one) => one.workflow_id)).toEqual(
      ["a"],
    );
  });
  it("compares times, not texts", () => {
    const late = { workflow_id: "late", trigger_id: "t", due_at: "2026-11-29T13:00:00.5+00:00" };
    const early = { workflow_id: "early", trigger_id: "t", due_at: "2026-11-29T13:30:00+01:00" };
    expect(soonest([late, early], NOW, 2)[0]?.workflow_id).toBe("early");
  });
  it("is asked for anew once the first has fired, but neither too often nor too seldom", () => {
    expect(askAgainMs([due("a", 10)], NOW)).toBe(10_500);
    expect(askAgainMs([due("a", 0)], NOW)).toBe(1_000);
    expect(askAgainMs([due("a", 3_600)], NOW)).toBe(60_000);
    expect(askAgainMs([], NOW)).toBe(60_000);
  });
});
