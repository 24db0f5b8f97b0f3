import { renderHook, waitFor } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { useLive } from "./live";

/** What each connection is asked with, and what it is answered; the last answer stays open. */
let asked: Headers[];
let answers: (() => Response)[];
const fetchBefore = globalThis.fetch;

beforeEach(() => {
  asked = [];
  answers = [];
  vi.stubGlobal("fetch", (_address: string, init: RequestInit) => {
    asked.push(new Headers(init.headers));
    return Promise.resolve(answers.shift()?.() ?? new Response(new ReadableStream()));
  });
});
afterEach(() => vi.stubGlobal("fetch", fetchBefore));

/** An answer with these lines, which then breaks off. */
function broken(lines: string, position: number, log = "one") {
  const headers = { "FlowForge-Position": String(position), "FlowForge-Incarnation": log };
  return () => new Response(lines, { headers });
}

const refused = (status: number) => () => new Response(null, { status });

test("a stream that broke off before anything was heard goes on where it began", async () => {
  answers = [broken(": connected\n\n", 41)];
  renderHook(() => useLive("/api/stream", () => undefined));
  await waitFor(() => expect(asked).toHaveLength(2));
  expect(asked.map((one) => one.get("Last-Event-ID"))).toEqual([null, "41"]);
  expect(asked[1]?.get("FlowForge-Incarnation")).toBe("one");
});

test("it goes on after what was heard last", async () => {
  const heard: number[] = [];
  answers = [broken('id: 42\nevent: RunStarted\ndata: {"position": 42}\n\n', 41)];
  renderHook(() => useLive("/api/stream", (events) => heard.push(...events.map(({ position }) => position))));
  await waitFor(() => expect(asked).toHaveLength(2));
  expect(asked[1]?.get("Last-Event-ID")).toBe("42");
  await waitFor(() => expect(heard).toEqual([42]));
});

test.each([409, 410])(
  "where it cannot go on (%i) it begins anew, and the page reads anew",
  async (status) => {
    const told: number[] = [];
    answers = [broken(": connected\n\n", 41), refused(status)];
    renderHook(() => useLive("/api/stream", (events) => told.push(events.length)));
    await waitFor(() => expect(asked).toHaveLength(3));
    expect([asked[2]?.get("Last-Event-ID"), asked[2]?.get("FlowForge-Incarnation")]).toEqual([null, null]);
    expect(told).toEqual([0]);
  },
);
