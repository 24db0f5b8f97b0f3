import { describe, expect, it } from "vitest";
import { settingsInWords } from "./settingsInWords";

const told = (settings: object) => Object.fromEntries(settingsInWords(settings));

describe("settings in words", () => {
  it("are said where nobody has set them, too", () => {
    expect(told({ recovery: {}, concurrency: null })).toMatchObject({
      "At once": "at most 5 nodes of a run",
      "When one fails": "the run ends, failed",
      "A run may take": "as long as it likes",
      "Runs beside each other": "as many as are started",
      Recovery: "none",
    });
  });
  it("say what was set", () => {
    expect(
      told({
        fail_fast: false,
        sla_ms: 900_000,
        concurrency: { limit: 1, key: "${input.customer}", on_conflict: "skip" },
        recovery: { retry_failed_nodes: true, max_retry_attempts: 2, fallback_to_partial_execution: true },
        on_failure: { workflow_id: "page-oncall" },
      }),
    ).toMatchObject({
      "When one fails": "branches that can go on do",
      "Told as late after": "15 min",
      "Runs beside each other": "at most 1 for each ${input.customer}; the others are not started",
      Recovery: "try failed nodes 2 times more, end as partial where something came out",
      "When a run fails": "the workflow page-oncall is started",
    });
  });
});
