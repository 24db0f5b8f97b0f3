import { expect, test } from "vitest";
import { faultAt, pathsOf } from "./paths";
import { isMatch } from "./patterns";

test("a pattern without a star is exact", () => {
  expect([isMatch("order", "order"), isMatch("order", "orders")]).toEqual([true, false]);
});

test("a star stands for whatever is there, also nothing", () => {
  expect(isMatch("*", "")).toBe(true);
  expect(isMatch("order.*", "order.placed")).toBe(true);
  expect(isMatch("order.*", "order")).toBe(false);
  expect(isMatch("*.placed", "order.placed")).toBe(true);
  expect(isMatch("a*b*c", "a-b-c")).toBe(true);
  expect(isMatch("a*b*c", "a-c")).toBe(false);
  expect(isMatch("ab*ba", "aba")).toBe(false);
});

test("the paths of a sample, nearest first", () => {
  const data = { size: 5, "my-key": { inner: "x" }, list: [1] };
  expect(pathsOf(data, "event.data").map(({ path }) => path)).toEqual([
    "event.data.size",
    'event.data["my-key"]',
    "event.data.list",
    'event.data["my-key"].inner',
  ]);
  expect(pathsOf(5, "event.data")).toEqual([]);
});

test("a fault is marked where it stands, else all is", () => {
  expect(faultAt("unexpected '>' at 1:5", "a >> b")).toEqual({ from: 4, to: 5 });
  expect(faultAt("unexpected end at 1:9", "a ==")).toEqual({ from: 3, to: 4 });
  expect(faultAt("unexpected 'b' at 2:1", "a\nb")).toEqual({ from: 2, to: 3 });
  expect(faultAt("no such name", "abc")).toEqual({ from: 0, to: 3 });
});
