import { expect, test } from "vitest";
import { follow, type Page } from "./useLines";

type Line = Page["items"][number];
const line = (text: string) => ({ text, node_id: "a", instance: "", attempt: 1, line: 0 }) as Line;

function following(pages: Record<string, Page>, isLive = () => false) {
  const told: string[][] = [];
  const stop = new AbortController();
  const done = follow({
    read: (cursor) => Promise.resolve(pages[cursor ?? "first"] ?? { items: [] }),
    isLive,
    limit: 3,
    signal: stop.signal,
    onLines: (lines) => told.push(lines.map(({ text }) => text)),
    onError: () => undefined,
  });
  return { told, stop, done };
}

test("pages join, and an ended run is read once", async () => {
  const { told, done } = following({
    first: { items: [line("one"), line("two")], next_cursor: "second" },
    second: { items: [line("three")], next_cursor: null },
  });
  await done;
  expect(told.at(-1)).toEqual(["one", "two", "three"]);
});

test("a run without lines is told as done", async () => {
  const { told, done } = following({ first: { items: [], next_cursor: null } });
  await done;
  expect(told).toEqual([[]]);
});

test("it stops at the limit, until more is asked for", async () => {
  const page = { items: [line("one"), line("two"), line("three")], next_cursor: "second" };
  const { told, done } = following({ first: page });
  await done;
  expect(told).toHaveLength(1);
});

test("while the run goes on the last page is read again, and its lines are not told twice", async () => {
  let reads = 0;
  const { told, done } = following({ first: { items: [line("one")], next_cursor: null } }, () => ++reads < 2);
  await done;
  expect(told.at(-1)).toEqual(["one"]);
});
