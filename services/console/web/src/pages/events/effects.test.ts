import { expect, test } from "vitest";
import { countedEffects } from "./effects";

const effect = (trigger: string, decision: string) => ({ workflow_id: "w", trigger_id: trigger, decision });

test("effects are counted by decision, firings first", () => {
  const effects = [effect("a", "not_matched"), effect("b", "fired"), effect("c", "fired")];
  expect(countedEffects(effects)).toEqual([
    { decision: "fired", count: 2 },
    { decision: "not_matched", count: 1 },
  ]);
});

test("a trigger that held it and fired later counts once, as fired", () => {
  expect(countedEffects([effect("a", "held"), effect("a", "fired")])).toEqual([
    { decision: "fired", count: 1 },
  ]);
});

test("an event that concerned nobody caused nothing", () => {
  expect(countedEffects([])).toEqual([]);
});
