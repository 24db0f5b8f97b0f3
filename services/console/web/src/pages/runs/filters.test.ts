import { expect, test } from "vitest";
import { fieldOf, ignoredOf, instantOf, queryOf } from "./filters";

test("filters of the address are those of the interface", () => {
  const search = new URLSearchParams(
    "workflow_id=hello&status=failed&trigger_type=schedule&label=team%3Ddata&since=2026-11-29T09:00:00Z&shadow=false",
  );
  expect(queryOf(search)).toEqual({
    workflow_id: "hello",
    status: "failed",
    trigger_type: "schedule",
    label: "team=data",
    since: "2026-11-29T09:00:00.000Z",
    shadow: false,
  });
});

test("what the server would refuse is left out", () => {
  expect(queryOf(new URLSearchParams("status=odd&label=team&since=soon&shadow=1&workflow_id="))).toEqual({});
});

test("what is left out is told, what is empty is not worth a word", () => {
  expect(ignoredOf(new URLSearchParams("status=odd&workflow_id=hello&label=&page=2"))).toEqual([
    "status=odd",
    "page=2",
  ]);
});

test("a span means the same as in every other list", () => {
  const since = queryOf(new URLSearchParams("since=24h")).since ?? "";
  expect(Math.round((Date.now() - Date.parse(since)) / 3_600_000)).toBe(24);
});

test("a time goes into its field and comes out the same", () => {
  const at = "2026-11-29T09:30:00.000Z";
  expect(instantOf(fieldOf(at))).toBe(at);
  expect(fieldOf(null)).toBe("");
});
