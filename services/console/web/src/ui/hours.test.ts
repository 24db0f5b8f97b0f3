import { describe, expect, it } from "vitest";
import { percent, seriesOf, sumOf } from "./hours";

const at = (hour: string, completed: number, failed = 0, cancelled = 0) => ({
  hour: `2026-11-29T${hour}:00:00Z`,
  runs: { created: completed + failed + cancelled, completed, failed, cancelled, partial: 0 },
});

describe("counts by the hour", () => {
  it("have zeros where nothing was", () => {
    const series = seriesOf(
      [at("10", 3, 1), at("12", 2, 0, 4)],
      "2026-11-29T09:00:00Z",
      "2026-11-29T13:00:00Z",
      1,
    );
    expect(series.completed).toEqual([0, 3, 0, 2]);
    expect(series.failed).toEqual([0, 1, 0, 0]);
    expect(series.other).toEqual([0, 0, 0, 4]);
    expect((series.times[1] ?? 0) - (series.times[0] ?? 0)).toBe(3_600);
  });
  it("can be taken several together, and leave out what is not of that time", () => {
    const hours = [at("09", 1), at("10", 2), at("11", 4), at("23", 9)];
    expect(seriesOf(hours, "2026-11-29T09:00:00Z", "2026-11-29T12:00:00Z", 2).completed).toEqual([3, 4]);
  });
  it("sum up, with the share that succeeded", () => {
    expect(sumOf([at("10", 3, 1), at("11", 0, 0, 5)])).toEqual({
      completed: 3,
      failed: 1,
      other: 5,
      success: 0.75,
    });
    expect(sumOf([]).success).toBeNull();
  });
  it.each([
    [null, "–"],
    [1, "100 %"],
    [0.9999, "99.9 %"],
    [0.5, "50 %"],
    [0, "0 %"],
  ])("%s is said as %s", (share, said) => {
    expect(percent(share)).toBe(said);
  });
});
