import { describe, expect, it } from "vitest";
import { faultOfId, freeId, idOf } from "./ids";

describe("ids made of names", () => {
  it.each([
    ["Daily report (EU)", "daily-report-eu"],
    ["Täglicher Bericht (EU) ", "taglicher-bericht-eu"],
    ["  Überblick -- für alle ", "uberblick-fur-alle"],
    ["__init", "init"],
    ["日本", ""],
    ["x".repeat(80), "x".repeat(63)],
  ])("%s", (name, id) => {
    expect(idOf(name)).toBe(id);
  });

  it.each(["a", "0-a_b", "x".repeat(63)])("%s is one", (id) => {
    expect(faultOfId(id)).toBeNull();
  });
  it.each(["", "A", "-a", "_a", "a b", "x".repeat(64)])(
    "%j is none, and it is said how it would be one",
    (id) => {
      expect(faultOfId(id)).toMatch(/Small letters, digits/);
    },
  );

  it("are counted up where they are taken", () => {
    expect(freeId("etl", ["other"])).toBe("etl");
    expect(freeId("etl", ["etl", "etl-2"])).toBe("etl-3");
    expect(freeId("x".repeat(63), ["x".repeat(63)])).toBe(`${"x".repeat(61)}-2`);
  });
});
