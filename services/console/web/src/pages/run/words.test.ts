import { expect, test } from "vitest";
import { awaited, slotWords, waitWords, whySkipped } from "./words";

const now = Date.parse("2026-11-29T12:00:00Z");

test("a skip reason is said in words, an unknown one as it is", () => {
  expect(whySkipped("branch_not_taken")).toBe("a condition before it took another path");
  expect(whySkipped("of_another_kind")).toBe("of another kind");
});

test("what a node waits for names what somebody could do about it", () => {
  expect(awaited({ for: "worker", job_type: "TRAIN", queue: "gpu" })).toBe(
    "a worker that serves TRAIN on queue gpu",
  );
  expect(awaited({ for: "approval", approvers: ["ada", "bob"] })).toBe("an approval by ada or bob");
  expect(awaited({ for: "event", event_type: "paid", source: "*" })).toBe("an event paid");
  expect(awaited({ for: "event", event_type: "paid", source: "shop" })).toBe("an event paid from shop");
  expect(awaited({ for: "pool", pool: "imports", limit: 3 })).toBe("a place in imports (at most 3 at once)");
  expect(awaited(null)).toBeNull();
});

test("how long it has waited stands beside", () => {
  const wait = { for: "approval", since: "2026-11-29T11:56:00Z" };
  expect(waitWords(wait, now)).toBe("waits for an approval, for 4 min");
});

test("a run without a slot says its place in the queue", () => {
  const waiting = {
    reason: "concurrency",
    pool: null,
    key: "c7",
    limit: 1,
    position: 2,
    in_use: 1,
    holders: [],
  };
  expect(slotWords(waiting)).toBe(
    "waits for the one slot of its workflow for key c7: 1 in use, place 2 in the queue",
  );
  expect(slotWords(null)).toBeNull();
});
