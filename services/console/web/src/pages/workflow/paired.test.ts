import { expect, it } from "vitest";
import { textDiff } from "../../definition/textDiff";
import { paired } from "./paired";

it("puts what went beside what came in its place", () => {
  const pairs = paired(textDiff("a\nb\nc\nd", "a\nB\nd\ne"));
  expect(pairs.map(([before, after]) => [before?.text, after?.text])).toEqual([
    ["a", "a"],
    ["b", "B"],
    ["c", undefined],
    ["d", "d"],
    [undefined, "e"],
  ]);
});
