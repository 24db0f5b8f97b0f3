import { describe, expect, it } from "vitest";
import { stageOf, starters } from "./welcome";

describe("how far somebody has come", () => {
  it.each([
    [{}, {}, "new"],
    [{ active: 0 }, {}, "new"],
    [{ active: 2 }, {}, "unrun"],
    [{ active: 2 }, { completed: 0 }, "unrun"],
    [{ active: 2 }, { running: 1 }, "used"],
    [{}, { failed: 1 }, "used"],
  ])("%j workflows and %j runs: %s", (workflows, runs, stage) => {
    expect(stageOf(workflows as Record<string, number>, runs as Record<string, number>)).toBe(stage);
  });
});

describe("templates for a first time", () => {
  const of = (id: string, description = "") => ({ id, description, source: "builtin" });
  it("are the chosen ones first, whatever the order", () => {
    const found = starters([of("other"), of("parallel-etl"), of("process-list")], 2);
    expect(found.map(({ id }) => id)).toEqual(["process-list", "parallel-etl"]);
  });
  it("are never those that need something from outside", () => {
    expect(starters([of("prompts", "Needs a provider of models.")], 3)).toEqual([]);
  });
});
