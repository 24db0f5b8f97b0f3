import { expect, test } from "vitest";
import { deedsFor, isOpenToHands, isOpenToRetry } from "./deeds";

test("only what the state allows is offered", () => {
  expect(deedsFor("running")).toEqual(["cancel", "pause", "fork"]);
  expect(deedsFor("paused")).toEqual(["cancel", "resume", "step", "fork"]);
  expect(deedsFor("failed")).toEqual(["retry", "fork", "again"]);
  expect(deedsFor("completed")).toEqual(["fork", "again"]);
});

test("a node is decided by hand only before it has ended, in a run that goes on", () => {
  expect(isOpenToHands("running", "waiting")).toBe(true);
  expect(isOpenToHands("running", "completed")).toBe(false);
  expect(isOpenToHands("failed", "idle")).toBe(false);
});

test("an ended run can go on from a node that was not skipped", () => {
  expect(isOpenToRetry("completed", "completed")).toBe(true);
  expect(isOpenToRetry("failed", "skipped")).toBe(false);
  expect(isOpenToRetry("running", "failed")).toBe(false);
});
