import { expect, test } from "vitest";
import { ago, bytes, took } from "./times";

test("durations are said in two units at most", () => {
  expect([0, 412, 3_240, 42_000, 252_000, 3_600_000, 11_100_000, 1_051_200_000].map(took)).toEqual([
    "0 ms",
    "412 ms",
    "3.2 s",
    "42 s",
    "4 min 12 s",
    "1 h",
    "3 h 5 min",
    "12 d 4 h",
  ]);
  expect(took(null)).toBe("–");
  expect(took(59_999)).toBe("60 s");
});

test("how long ago is said in one unit, past and future", () => {
  const now = Date.parse("2026-11-29T12:00:00Z");
  const said = ["2026-11-29T11:59:59.700Z", "2026-11-29T11:57:00Z", "2026-11-29T14:00:00Z"].map((at) =>
    ago(at, now),
  );
  expect(said).toEqual(["now", "3 min. ago", "in 2 hr."]);
});

test("sizes", () => {
  expect([12, 2_048, 5_500_000].map(bytes)).toEqual(["12 B", "2.0 KiB", "5.2 MiB"]);
});
