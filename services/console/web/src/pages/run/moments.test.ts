import { expect, test } from "vitest";
import type { LoggedEvent } from "../../api/live";
import {
  areAllKnown,
  countOf,
  knownAt,
  momentIn,
  NO_MOMENTS,
  numberAt,
  playedAtOnce,
  positionAt,
  withEvents,
} from "./moments";

function event(version: number, position: number): LoggedEvent {
  return {
    version,
    position,
    type: "NodeStarted",
    recorded_at: "2026-11-29T12:00:00Z",
    data: { node_id: "a" },
    event_id: "",
    stream: "",
    correlation_id: null,
    causation_id: null,
    actor: null,
  };
}

const begun = withEvents(NO_MOMENTS, [event(1, 10), event(2, 30), event(3, 40)]);

test("known moments have their own positions, and positions between events belong to the one before", () => {
  expect([1, 2, 3].map((number) => positionAt(begun, number))).toEqual([10, 30, 40]);
  expect([10, 29, 30, 39, 40, 999].map((position) => numberAt(begun, position))).toEqual([1, 1, 2, 2, 3, 3]);
  expect(areAllKnown(begun)).toBe(true);
});

test("moments whose page is not there are guessed between the last known one and the end", () => {
  const long = withEvents(begun, [event(103, 1_040)]);
  expect(countOf(long)).toBe(103);
  expect(areAllKnown(long)).toBe(false);
  expect(positionAt(long, 53)).toBe(540);
  expect(numberAt(long, 540)).toBe(53);
  expect(positionAt(long, 103)).toBe(1_040);
  expect(knownAt(long, 53)).toBeNull();
  expect(knownAt(long, 103)?.position).toBe(1_040);
});

test("the next page, and what comes live, joins what is known; what was known changes nothing", () => {
  const more = withEvents(begun, [event(3, 40), event(4, 41), event(5, 50)]);
  expect(more.head).toHaveLength(5);
  expect(withEvents(more, [event(2, 30)])).toBe(more);
});

test("numbers beyond either end are the ends", () => {
  expect([-4, 0, 99].map((number) => positionAt(begun, number))).toEqual([10, 10, 40]);
  expect(numberAt(begun, 1)).toBe(1);
});

test("a long history plays in as many steps as a short one at most", () => {
  expect([1, 150, 15_000].map(playedAtOnce)).toEqual([1, 1, 100]);
});

test("where a moment lies in the history is told only once the history is read as far", () => {
  const events = [{ position: 10 }, { position: 20 }, { position: 30 }];
  expect(momentIn(events, 25, false)).toBe(1);
  expect(momentIn(events, 30, false)).toBe(2);
  expect(momentIn(events, 99, false)).toBe(-1);
  expect(momentIn(events, 99, true)).toBe(2);
  expect(momentIn(events, 5, true)).toBe(-1);
  expect(momentIn([], 5, true)).toBe(-1);
});
