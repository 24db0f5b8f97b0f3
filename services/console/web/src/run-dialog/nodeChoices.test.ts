import { expect, test } from "vitest";
import { nodeChoices } from "./nodeChoices";

test("nodes are chosen by name and id, by the id alone where there is no other name", () => {
  expect(
    nodeChoices([
      { id: "load", name: "Load it" },
      { id: "clean", name: "" },
      { id: "x", name: "x" },
    ]),
  ).toEqual([
    { value: "load", label: "Load it (load)" },
    { value: "clean", label: "clean" },
    { value: "x", label: "x" },
  ]);
});
