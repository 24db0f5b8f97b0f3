import { expect, test } from "vitest";
import { local } from "../ui/times";
import { decisionInWords, DECISIONS, decisionMeans, decisionName } from "./decisions";

const said = (
  decision: string,
  reason: string | null = null,
  detail: string | null = null,
  consumed: string[] = [],
) => decisionInWords({ decision, reason, detail, consumed });

test("a firing says for how many events", () => {
  expect(said("fired")).toBe("fired");
  expect(said("fired", null, null, ["a", "b", "c"])).toBe("fired, for 3 events together");
});

test("what did not match says which part was false, and what was seen", () => {
  expect(said("not_matched", "event.data.size > 10 was false, event.data.size was 5")).toBe(
    "not fired: `event.data.size > 10` was false, size was `5`",
  );
  expect(
    said(
      "not_matched",
      'event.data.a == event.source was false, event.data.a was "x, y", event.source was "shop"',
    ),
  ).toBe('not fired: `event.data.a == event.source` was false, a was `"x, y"`, source was `"shop"`');
  expect(said("not_matched", "false was false")).toBe("not fired: `false` was false");
  expect(said("not_matched", "the job's status is FAILED, and on_failure is off")).toBe(
    "not fired: the job's status is FAILED, and on_failure is off",
  );
  expect(said("not_matched", "absent_for_ms", "it came in time")).toBe("not fired: it came in time");
  expect(said("not_matched", "upstream_archived", "a was archived: no run of it starts any more")).toBe(
    "not fired: a was archived: no run of it starts any more",
  );
  expect(said("not_matched")).toBe("not fired: it did not match");
});

test.each([
  ["upstreams", "waits for hello", "not yet: waits for hello"],
  ["batch", "2 of 3", "not yet: gathers more events: 2 of 3"],
  ["debounce", "fires soon", "not yet: waits for quiet: fires soon"],
  ["delay", null, "not yet: waits for its delay"],
  ["concurrency", "1 of 1 in use", "not yet: waits for a free slot: 1 of 1 in use"],
])("held by %s", (reason, detail, words) => {
  expect(said("held", reason, detail)).toBe(words);
});

test.each([
  ["disabled", null, "the trigger was switched off"],
  ["limited", "it fired 5 times in 3600000 ms", "its limit was reached: it fired 5 times in 1 h"],
  ["debounced", "another came within 250 ms", "a later one takes its place: another came within 250 ms"],
  ["overlap", null, "a run was going on already"],
  [
    "self",
    "the job is of a run of this workflow",
    "it would be starting itself: the job is of a run of this workflow",
  ],
  ["depth_exceeded", "a chain is cut", "the chain of causes is too long: a chain is cut"],
  ["workflow_inactive", "the workflow is draft", "the workflow is draft"],
  ["duplicate", "the job 7 has started this workflow already", "the job 7 has started this workflow already"],
  ["changed", "the trigger is no longer there", "the trigger was changed: the trigger is no longer there"],
  ["cancelled", "cancelled while it waited", "it was cancelled while it waited"],
])("suppressed since %s", (reason, detail, words) => {
  expect(said("suppressed", reason, detail)).toBe(`not fired: ${words}`);
});

test("what expired says what was missing", () => {
  const at = "2026-11-29T10:23:39.852024Z";
  expect(said("expired", `3 firings missed while nothing ran, from ${at} to ${at}: not caught up`)).toBe(
    `given up: 3 firings missed while nothing ran, from ${local(at)} to ${local(at)}: not caught up`,
  );
  expect(said("expired", "its window closed: b did not end in time")).toBe(
    "given up: its window closed: b did not end in time",
  );
  expect(said("expired", "concurrency", "60000 ms")).toBe("given up: no slot became free in time: 1 min");
});

test("what failed says which expression and which value", () => {
  expect(
    said(
      "failed",
      "filter: event.data.refund is missing, in `event.data.refund == true`",
      "event.data.refund",
    ),
  ).toBe(
    "could not decide: its filter could not be computed, event.data.refund is missing, in `event.data.refund == true`",
  );
  expect(said("failed", "concurrency.key: no such key")).toBe(
    "could not decide: the workflow's concurrency key could not be computed, no such key",
  );
  expect(said("failed", "input.amount is no number")).toBe("could not decide: input.amount is no number");
});

test("every decision has a name and a meaning", () => {
  for (const decision of DECISIONS) {
    expect(decisionName(decision)).not.toContain("_");
    expect(decisionMeans(decision)).not.toBe("");
  }
  expect(said("unheard_of", "so", null)).toBe("unheard of: so");
});
