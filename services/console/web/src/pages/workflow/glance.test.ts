import { expect, it } from "vitest";
import { glance } from "./glance";

const none = { added: [], removed: [], changed: [] };
const nothing = { nodes: none, edges: {}, triggers: none, variables: none, settings: [], fields: [] };

it("says what came, went and changed", () => {
  const told = glance({
    ...nothing,
    nodes: { added: ["b"], removed: [], changed: ["a", "c"] },
    settings: ["sla_ms"],
    fields: ["description"],
  });
  expect(told).toEqual([
    "Node added: b",
    "nodes changed: a, c",
    "settings changed: sla_ms",
    "also changed: description",
  ]);
});

it("says nothing where nothing did", () => {
  expect(glance(nothing)).toEqual([]);
});
