import { describe, expect, it } from "vitest";
import { imported } from "./imported";

describe("definitions out of text", () => {
  it.each([
    ["one", "id: a\nname: A\nnodes: []\n", ["a"]],
    ["several", "id: a\n---\nid: b\n", ["a", "b"]],
    ["JSON", '{"id": "a", "nodes": []}', ["a"]],
    ["with an empty document", "---\nid: a\n---\n", ["a"]],
  ])("%s", (_name, text, ids) => {
    const found = imported(text);
    expect("definitions" in found && found.definitions.map(({ id }) => id)).toEqual(ids);
  });
  it.each([
    ["nothing", " \n", /nothing yet/],
    ["a list", "- a\n", /something else/],
    ["no id", "name: A\n", /something else/],
    ["a fault, with its line", "id: a\nname: [1\n", /line/],
  ])("%s is said to be none", (_name, text, words) => {
    const found = imported(text);
    expect("fault" in found && found.fault).toMatch(words);
  });
});
