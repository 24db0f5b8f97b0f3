/* Server-sent events: one stream per view, resumed where it broke off, quiet while nobody looks. */
import { useEffect, useRef } from "react";
import { EventSourceParserStream } from "eventsource-parser/stream";
import { setLine } from "./line";
import type { Schemas } from "./client";

export type LoggedEvent = Schemas["LoggedEvent"];

/** Browsers allow six connections to one host: a page that nobody sees gives its own back. */
const HIDDEN_MS = 5_000;
/** The server sends a comment at least each 15 s; without one for so long the line is dead. */
const SILENCE_MS = 40_000;
const RETRY_MS = [250, 500, 1_000, 2_000, 4_000];

interface Listening {
  /** `/api/stream` or `/api/runs/{id}/stream`, with its query. */
  address: string;
  /** What came since the last call, in order; at most one call per animation frame. */
  onEvents: (events: LoggedEvent[]) => void;
  /** It has been away, and what it missed cannot be had any more: read anew. */
  onGap?: () => void;
  /** The position after which it begins; without it, where the address says. */
  from?: number | undefined;
}

/** Follow a stream until the returned function is called. */
export function listen({ address, onEvents, onGap, from }: Listening): () => void {
  let last = from === undefined ? "" : String(from);
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
      const response = await fetch(address, { headers, signal: own.signal });
      if (response.status === 410) {
        last = "";
        onGap?.();
        throw new Error("gone");
      }
      if (response.status === 204) {
        setLine(line, null);
        stopped = true;
        return;
      }
      if (!response.ok || response.body === null) throw new Error(String(response.status));
      failures = 0;
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
      const messages = bytes.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
      const reader = messages.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        if (value.id !== undefined && value.id !== "") last = value.id;
        if (value.data !== "" && value.event !== undefined) take(JSON.parse(value.data) as LoggedEvent);
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

/** The same as a hook; `null` listens to nothing. `from` counts when listening begins. */
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
      onGap: () => latest.current.onGap?.(),
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
    const messages = response.body
      .pipeThrough(new TextDecoderStream())
      .pipeThrough(new EventSourceParserStream());
    const reader = messages.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return null;
      if (value.event !== undefined && value.data !== "") return JSON.parse(value.data) as LoggedEvent;
    }
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
