import { describe, expect, it } from "vitest";
import { freeId, idOf } from "./ids";

describe("ids made of names", () => {
  it.each([
    ["Daily report (EU)", "daily-report-eu"],
    ["  Überblick -- für alle ", "uberblick-fur-alle"],
    ["__init", "init"],
    ["日本", ""],
    ["x".repeat(80), "x".repeat(63)],
  ])("%s", (name, id) => {
    expect(idOf(name)).toBe(id);
  });

  it("are counted up where they are taken", () => {
    expect(freeId("etl", ["other"])).toBe("etl");
    expect(freeId("etl", ["etl", "etl-2"])).toBe("etl-3");
    expect(freeId("x".repeat(63), ["x".repeat(63)])).toBe(`${"x".repeat(61)}-2`);
  });
});
