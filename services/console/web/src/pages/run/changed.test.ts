import { expect, test } from "vitest";
import type { Schemas } from "../../api/client";
import { changedWords } from "./changed";

const side = { status: "completed" } as Schemas["Side"];

test("a node of a fork says what is otherwise, or that it was taken over", () => {
  expect(
    changedWords({ before: side, after: side, changed: ["status", "skip_reason"], is_reused: false }),
  ).toBe("otherwise: status, skip reason");
  expect(changedWords({ before: side, after: side, changed: [], is_reused: true })).toBe(
    "the same · output taken over",
  );
  expect(changedWords({ before: null, after: side, changed: [], is_reused: false })).toBe("new");
  expect(changedWords({ before: side, after: null, changed: [], is_reused: false })).toBe("no longer there");
});
