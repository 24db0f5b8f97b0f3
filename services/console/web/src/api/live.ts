/* Server-sent events: one stream per view, resumed where it broke off, quiet while nobody looks. */
import { useEffect, useRef } from "react";
import type { Schemas } from "./client";
import { setLine } from "./line";
import { messagesOf } from "./messages";
import { askWhoLooks } from "./queries";

export type LoggedEvent = Schemas["LoggedEvent"];

/** Browsers allow six connections to one host: a page that nobody sees gives its own back. */
const HIDDEN_MS = 5_000;
/** The server sends a comment at least each 15 s; without one for so long the line is dead. */
const SILENCE_MS = 40_000;
const RETRY_MS = [250, 500, 1_000, 2_000, 4_000];
/** Of an answer: where a stream begins, so that who has heard nothing yet can resume, and of which log that is. */
const POSITION = "FlowForge-Position";
const INCARNATION = "FlowForge-Incarnation";
/** What a stream would go on with is of another log (409), or in an archive that cannot be read (410). */
const GONE = [409, 410];

interface Listening {
  /** `/api/stream` or `/api/runs/{id}/stream`, with its query. */
  address: string;
  /** What came since the last call, in order; at most one call per animation frame. */
  onEvents: (events: LoggedEvent[]) => void;
  /** It has been away, and what it missed cannot be had any more: read anew. */
  onGap: () => void;
  /** The position after which it begins; without it, where the address says. */
  from?: number | undefined;
}

/** Follow a stream until the returned function is called. */
function listen({ address, onEvents, onGap, from }: Listening): () => void {
  let last = from === undefined ? "" : String(from);
  let log = "";
  let failures = 0;
  let stopped = false;
  let reading: AbortController | null = null;
  let retry = 0;
  let hidden = 0;
  let waiting: LoggedEvent[] = [];
  const line = Symbol(address);

  const flush = () => {
    const events = waiting;
    waiting = [];
    if (!stopped && events.length > 0) onEvents(events);
  };
  const take = (event: LoggedEvent) => {
    if (waiting.push(event) === 1) {
      if (document.hidden) setTimeout(flush, 100);
      else requestAnimationFrame(flush);
    }
  };

  async function read(): Promise<void> {
    const own = new AbortController();
    reading = own;
    let silence = window.setTimeout(() => own.abort(), SILENCE_MS);
    try {
      const headers: Record<string, string> = { Accept: "text/event-stream" };
      if (last !== "") headers["Last-Event-ID"] = last;
      if (log !== "") headers[INCARNATION] = log;
      const response = await fetch(address, { headers, signal: own.signal });
      if (GONE.includes(response.status)) {
        last = "";
        log = "";
        onGap();
        throw new Error("gone");
      }
      if (response.status === 401) askWhoLooks();
      if (response.status === 204) {
        setLine(line, null);
        stopped = true;
        return;
      }
      if (!response.ok || response.body === null) throw new Error(String(response.status));
      failures = 0;
      if (last === "") last = response.headers.get(POSITION) ?? "";
      log = response.headers.get(INCARNATION) ?? "";
      setLine(line, "live");
      const bytes = response.body.pipeThrough(
        new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
          transform(chunk, next) {
            clearTimeout(silence);
            silence = window.setTimeout(() => own.abort(), SILENCE_MS);
            next.enqueue(chunk);
          },
        }),
      );
      for await (const { id, event, data } of messagesOf(bytes)) {
        if (id !== undefined && id !== "") last = id;
        if (data !== "" && event !== undefined) take(JSON.parse(data) as LoggedEvent);
      }
    } catch {
      /* whatever it was: tried again below */
    } finally {
      clearTimeout(silence);
    }
    if (reading !== own) return;
    reading = null;
    again();
  }

  function again(): void {
    if (stopped || document.hidden) return;
    setLine(line, "lost");
    const wait = RETRY_MS[Math.min(failures, RETRY_MS.length - 1)] ?? 4_000;
    failures += 1;
    retry = window.setTimeout(() => void read(), wait);
  }
  function pause(): void {
    clearTimeout(retry);
    const own = reading;
    reading = null;
    own?.abort();
  }
  /** The machine has no network: what is open would only fall silent. */
  function cut(): void {
    reading?.abort();
  }
  function seen(): void {
    clearTimeout(hidden);
    if (document.hidden) {
      hidden = window.setTimeout(pause, HIDDEN_MS);
    } else if (reading === null && !stopped) {
      clearTimeout(retry);
      failures = 0;
      void read();
    }
  }

  setLine(line, "opening");
  document.addEventListener("visibilitychange", seen);
  window.addEventListener("online", seen);
  window.addEventListener("offline", cut);
  void read();
  return () => {
    stopped = true;
    pause();
    clearTimeout(hidden);
    document.removeEventListener("visibilitychange", seen);
    window.removeEventListener("online", seen);
    window.removeEventListener("offline", cut);
    setLine(line, null);
  };
}

/** The same as a hook; `null` listens to nothing. Without an `onGap`, a gap is told as events of which none is known.
    `from` counts when listening begins. */
export function useLive(
  address: string | null,
  onEvents: (events: LoggedEvent[]) => void,
  onGap?: () => void,
  from?: number,
): void {
  const latest = useRef({ onEvents, onGap, from });
  useEffect(() => {
    latest.current = { onEvents, onGap, from };
  });
  useEffect(() => {
    if (address === null) return;
    return listen({
      address,
      from: latest.current.from,
      onEvents: (events) => latest.current.onEvents(events),
      onGap: () => (latest.current.onGap ?? (() => latest.current.onEvents([])))(),
    });
  }, [address]);
}

/** The first event of a stream after a position; null where nothing comes of it. */
export async function firstEvent(
  address: string,
  from: number,
  signal: AbortSignal,
): Promise<LoggedEvent | null> {
  const own = new AbortController();
  const headers = { Accept: "text/event-stream", "Last-Event-ID": String(from) };
  try {
    const response = await fetch(address, { headers, signal: AbortSignal.any([own.signal, signal]) });
    if (response.status !== 200 || response.body === null) return null;
    for await (const { event, data } of messagesOf(response.body)) {
      if (event !== undefined && data !== "") return JSON.parse(data) as LoggedEvent;
    }
    return null;
  } catch {
    return null;
  } finally {
    own.abort();
  }
}

/** Runs `deed` at once, and then no more often than each `pauseMs`, or twice the time that it takes; the last call counts. */
export function paced(deed: () => Promise<unknown>, pauseMs: number): () => void {
  let isBusy = false;
  let isWanted = false;
  const run = async () => {
    isBusy = true;
    const began = performance.now();
    isWanted = false;
    await deed().catch(() => undefined);
    const took = performance.now() - began;
    setTimeout(
      () => {
        isBusy = false;
        if (isWanted) void run();
      },
      Math.max(pauseMs, 2 * took),
    );
  };
  return () => {
    isWanted = true;
    if (!isBusy) void run();
  };
}
