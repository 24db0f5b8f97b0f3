import { expect, test } from "vitest";
import { readTrigger } from "./trigger";
import { inWords } from "./words";

const of = (type: string, config: object, more: object = {}) =>
  inWords(readTrigger({ id: "t", type, config, ...more }));

test("an event trigger says type, source and filter", () => {
  expect(of("event", { event_type: "order.*", filter: "event.data.size > 10" })).toBe(
    "fires when an event of type `order.*` comes and `event.data.size > 10`",
  );
  expect(of("event", { event_type: "*", source: "shop" })).toBe("fires when any event from `shop` comes");
});

test("gathering and silence are said", () => {
  expect(of("event", { event_type: "a", batch: { count: 3, window_ms: 60_000 } })).toBe(
    "gathers each time an event of type `a` comes, and fires at the 3rd, or 1 min after the first",
  );
  expect(of("event", { event_type: "beat", absent_for_ms: 60_000 })).toBe(
    "fires when for 1 min no event of type `beat` comes",
  );
  expect(of("event", { event_type: "beat", absent_for_ms: 1_000, filter: "event.data.ok" })).toBe(
    "fires when for 1.0 s no event of type `beat` comes with `event.data.ok`",
  );
});

test.each([
  ["0 2 * * *", "every day at 02:00"],
  ["30 9 * * 1-5", "Monday to Friday at 09:30"],
  ["0 6,18 * * *", "every day at 06:00 and 18:00"],
  ["*/5 * * * *", "every 5 minutes"],
  ["0 * * * *", "every hour"],
  ["15 * * * *", "every hour, 15 minutes past"],
  ["0 0 1 * *", "on day 1 of every month at 00:00"],
  ["0 8 * * SUN", "every Sunday at 08:00"],
  ["0 0 12 * * *", "every day at 12:00"],
  ["@hourly", "every hour"],
  ["0 0 29 2 *", "at `0 0 29 2 *`"],
  ["*/5 8-17 * * *", "at `*/5 8-17 * * *`"],
])("the cron %s is said as %s", (cron, words) => {
  expect(of("schedule", { cron, timezone: "Europe/Berlin" })).toBe(`fires ${words} (Europe/Berlin)`);
});

test("a schedule by period says its bounds", () => {
  expect(of("schedule", { every_ms: 90_000, exclude_dates: ["2026-12-24"], jitter_ms: 5_000 })).toBe(
    "fires every 1 min 30 s, not on 2026-12-24, up to 5.0 s later, to spread the load",
  );
});

test("a dependency says which ends count, and how they join", () => {
  const upstreams = [{ workflow_id: "a" }, { workflow_id: "b", condition: "on_failure" }];
  expect(of("dependency", { upstreams })).toBe("fires when a run of `a` succeeds or a run of `b` fails");
  expect(
    of("dependency", { upstreams, logic: "all", window_ms: 3_600_000, correlate_by: "run.labels.day" }),
  ).toBe("fires once a run of `a` succeeds and a run of `b` fails for the same `run.labels.day`, within 1 h");
  expect(of("dependency", {})).toBe("waits for no workflow yet");
});

test("webhooks and hands", () => {
  expect(of("webhook", { filter: "event.data.amount > 10" })).toBe(
    "fires when a request signed with its secret is posted and `event.data.amount > 10`",
  );
  expect(of("webhook", { provider: "github" })).toBe("fires when a request signed by GitHub is posted");
  expect(of("manual", {})).toBe("fires when somebody starts it by hand, or a program does");
});

test("quiet, delay, limit and being switched off are said", () => {
  expect(
    of(
      "manual",
      {},
      { enabled: false, debounce_ms: 2_000, delay_ms: 60_000, limit: { max_fires: 2, per_ms: 3_600_000 } },
    ),
  ).toBe(
    "switched off; fires when somebody starts it by hand, or a program does, once it has been quiet for 2.0 s, 1 min later, at most twice in 1 h",
  );
});
