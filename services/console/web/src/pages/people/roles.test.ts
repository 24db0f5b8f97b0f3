import { describe, expect, it } from "vitest";
import { asRole, expiresAt, faultOfName, standing } from "./roles";

const NOW = Date.parse("2026-11-29T12:00:00Z");
const inDays = (days: number) => new Date(NOW + days * 86_400_000).toISOString();

describe("people and keys", () => {
  it.each(["ada", "ada.l@example.com", "0x"])("%s is a name", (name) => {
    expect(faultOfName(name)).toBeNull();
  });
  it.each(["", "Ada", "-ada", "a b", "x".repeat(64)])("%j is none", (name) => {
    expect(faultOfName(name)).not.toBeNull();
  });
  it("knows the four roles and no other", () => {
    expect(asRole("editor")).toBe("editor");
    expect(asRole("root")).toBeNull();
    expect(asRole(null)).toBeNull();
  });
  it("a key ends when it was said to, or never", () => {
    expect(expiresAt({ label: "", days: 7 }, NOW)).toBe("2026-12-06T12:00:00.000Z");
    expect(expiresAt({ label: "", days: null }, NOW)).toBeNull();
    expect([null, inDays(30), inDays(3), inDays(-1)].map((at) => standing(at, NOW))).toEqual([
      "good",
      "good",
      "soon",
      "ended",
    ]);
  });
});
