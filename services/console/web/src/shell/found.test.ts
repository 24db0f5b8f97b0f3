import { expect, test } from "vitest";
import { runIdsFor } from "./found";

const ids = ["01a226db-83d3-7812-ae13-3123395d2c76", "01a226db-71be-79ef-b6c4-57b396d68e97"];

test("a run is found by the end of its id, as the console shows it", () => {
  expect(runIdsFor("395d2c76", ids)).toEqual([ids[0]]);
  expect(runIdsFor(" 96D6 ", ids)).toEqual([ids[1]]);
});

test("a whole id is taken as it is, wherever it comes from", () => {
  expect(runIdsFor("01a2269e-10a0-7d39-94cf-c59eebc2ffa7", [])).toEqual([
    "01a2269e-10a0-7d39-94cf-c59eebc2ffa7",
  ]);
});

test("words are no ids", () => {
  expect(runIdsFor("orders", ids)).toEqual([]);
  expect(runIdsFor("add", ids)).toEqual([]);
  expect(runIdsFor("", ids)).toEqual([]);
});
