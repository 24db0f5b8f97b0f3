import { describe, expect, it } from "vitest";
import type { Schemas } from "../../api/client";
import { byNeed, lags, verdict } from "./health";

type System = Schemas["SystemView"];
const service = (name: string, fields: Partial<System["services"][number]> = {}) => ({
  ...{ name, is_up: true, processes: 1, waiting_messages: 0, memory_bytes: 1, started_at: null, silent: [] },
  ...fields,
});
const consumer = (name: string, waiting_messages: number) => ({ stream: "REPORTS", name, waiting_messages });
const queue = (name: string, waiting_jobs: number) => ({
  name,
  waiting_jobs,
  taken_jobs: 0,
  workers_waiting: 0,
});
const system = (fields: Partial<System> = {}): System => ({
  is_bus_up: true,
  services: [service("catalog"), service("triggers")],
  log_position: 100,
  read_models_lag_events: 0,
  read_models_lag_s: 0,
  consumers: [],
  cursors: [],
  queues: [],
  breakers: [],
  active_runs: {},
  open_dead_letters: 0,
  open_approvals: 0,
  ...fields,
});

describe("whether all is well", () => {
  it.each<[string, Partial<System>, string, RegExp]>([
    ["all answers", {}, "ok", /every service answers/],
    ["NATS is away", { is_bus_up: false }, "failed", /NATS/],
    [
      "a service is away",
      { services: [service("catalog", { is_up: false })] },
      "failed",
      /catalog does not answer/,
    ],
    [
      "a service is deaf",
      { services: [service("catalog", { silent: ["RUNS"] })] },
      "waiting",
      /hear nothing/,
    ],
    ["a circuit is open", { breakers: [{ breaker: "host:a", status: "open" }] }, "waiting", /host:a/],
    ["reads are old", { read_models_lag_s: 60 }, "waiting", /60 s old/],
    ["somebody is behind", { consumers: [consumer("execution", 5_000)] }, "waiting", /execution catching up/],
    ["somebody is at work", { consumers: [consumer("execution", 20)] }, "ok", /none is behind/],
  ])("%s", (_name, fields, status, words) => {
    const told = verdict(system(fields));
    expect(told.status).toBe(status);
    expect(told.words).toMatch(words);
  });

  it("names who has most to take first, after the read models", () => {
    const told = lags(
      system({
        consumers: [consumer("execution", 3), consumer("scheduler", 0)],
        services: [service("triggers", { waiting_messages: 9 }), service("catalog")],
      }),
    );
    expect(told.map(({ who, waiting }) => [who, waiting])).toEqual([
      ["read models", 0],
      ["triggers", 9],
      ["execution", 3],
      ["scheduler", 0],
    ]);
  });

  it("names the queue first in which most waits", () => {
    expect(byNeed([queue("a", 0), queue("b", 4), queue("c", 1)]).map(({ name }) => name)).toEqual([
      "b",
      "c",
      "a",
    ]);
  });
});
