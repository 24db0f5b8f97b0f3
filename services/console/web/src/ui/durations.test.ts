import { expect, test } from "vitest";
import { durationText, parseDuration } from "./durations";

test("periods are read as people type them", () => {
  expect(["5 min", "1h 30m", "500ms", "2 days", "90", "1.5 h"].map(parseDuration)).toEqual([
    300_000, 5_400_000, 500, 172_800_000, 90_000, 5_400_000,
  ]);
});

test("what is no period is none", () => {
  expect(["", "soon", "5 parsecs", "min", "-3 s"].map(parseDuration)).toEqual([null, null, null, null, null]);
});

test("what is shown can be typed back", () => {
  for (const ms of [1, 999, 1_000, 5_400_000, 86_400_000, 90_061_001]) {
    expect(parseDuration(durationText(ms))).toBe(ms);
  }
});
