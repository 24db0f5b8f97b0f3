import { expect, test } from "vitest";
import { counted, differenceOf, differencesFirst, progressOf, readRehearsal, type Judged } from "./rehearsal";

const judged = (position: number, decision: string, didFire: boolean): Judged => ({
  cause: { event_id: `e${position}`, type: "order", id: String(position), source: "shop" },
  decision,
  reason: null,
  detail: null,
  at: "2026-11-29T09:00:00Z",
  position,
  didFire,
  runId: didFire ? `r${position}` : null,
});

test("what fires now and did not, and what did and does not, are differences", () => {
  expect(differenceOf(judged(1, "fired", false))).toBe("would");
  expect(differenceOf(judged(1, "not_matched", true))).toBe("would not");
  expect(differenceOf(judged(1, "suppressed", true))).toBe("would not");
  expect(differenceOf(judged(1, "fired", true))).toBe("same");
  expect(differenceOf(judged(1, "failed", false))).toBe("same");
});

test("differences come first, and in each part the newest", () => {
  const items = [
    judged(5, "fired", true),
    judged(4, "fired", false),
    judged(3, "not_matched", false),
    judged(2, "not_matched", true),
    judged(1, "fired", false),
  ];
  expect(differencesFirst(items).map(({ position }) => position)).toEqual([4, 2, 1, 5, 3]);
  expect(counted(items)).toEqual({ would: 2, "would not": 1, same: 2 });
});

test("an answer is read as the server gives it", () => {
  const item = {
    cause: { event_id: "e", type: "order", id: "1", source: "shop" },
    decision: "not_matched",
    reason: "x was false",
    detail: null,
    at: "2026-11-29T09:00:00Z",
    position: 7,
    did_fire: true,
    run_id: "r",
  };
  const answer = {
    evaluated: 26,
    would_fire: 10,
    did_fire: 17,
    decisions: { items: [item], next_cursor: "c" },
  };
  const read = readRehearsal(answer);
  expect(read).toMatchObject({ evaluated: 26, wouldFire: 10, didFire: 17, nextCursor: "c" });
  expect(read.items[0]).toMatchObject({ didFire: true, runId: "r", reason: "x was false", position: 7 });
  expect(readRehearsal(null)).toEqual({
    evaluated: 0,
    wouldFire: 0,
    didFire: 0,
    items: [],
    nextCursor: null,
  });
});

test("progress is a part of one", () => {
  expect(progressOf({ evaluated: 1, position: 50, last: 200 })).toBe(0.25);
  expect(progressOf({ position: 0, last: 0 })).toBe(1);
});
