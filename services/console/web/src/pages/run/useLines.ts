/* Log lines, page after page; while the run goes on the last page is asked for again and again. */
import { useCallback, useEffect, useRef, useState } from "react";
import { http, type Schemas } from "../../api/client";

type Line = Schemas["LogLine"];

const PAGE = 1_000;
/** So many are loaded without being asked for. */
const AT_ONCE_MAX = 20_000;
const ASKED_EACH_MS = 700;

export interface Lines {
  lines: Line[];
  isPending: boolean;
  error: unknown;
  hasMore: boolean;
  more: () => void;
}

interface Loaded {
  of: string;
  lines: Line[];
  isDone: boolean;
  error: unknown;
}

export function useLines(runId: string, nodeId: string | null, isLive: boolean): Lines {
  const of = `${runId} ${nodeId ?? ""}`;
  const [loaded, setLoaded] = useState<Loaded>({ of, lines: [], isDone: false, error: null });
  const [limit, setLimit] = useState(AT_ONCE_MAX);
  const live = useRef(isLive);
  useEffect(() => {
    live.current = isLive;
  }, [isLive]);
  useEffect(() => {
    const stop = new AbortController();
    void follow({
      read: (cursor) => readPage(runId, nodeId, cursor, stop.signal),
      isLive: () => live.current,
      limit,
      signal: stop.signal,
      onLines: (lines, isDone) => setLoaded({ of, lines, isDone, error: null }),
      onError: (error) =>
        setLoaded((before) => ({ ...before, of, lines: before.of === of ? before.lines : [], error })),
    });
    return () => stop.abort();
    // `isLive` begins it anew, so that the last lines of a run that just ended are read, too
  }, [of, runId, nodeId, limit, isLive]);
  const isOwn = loaded.of === of;
  const more = useCallback(() => setLimit((before) => before + AT_ONCE_MAX), []);
  return {
    lines: isOwn ? loaded.lines : [],
    isPending: (!isOwn || (loaded.lines.length === 0 && !loaded.isDone)) && loaded.error === null,
    error: isOwn ? loaded.error : null,
    hasMore: isOwn && !loaded.isDone && loaded.lines.length >= limit,
    more,
  };
}

export interface Page {
  items: Line[];
  next_cursor?: string | null;
}

interface Following {
  read: (cursor: string | undefined) => Promise<Page>;
  isLive: () => boolean;
  limit: number;
  signal: AbortSignal;
  onLines: (lines: Line[], isDone: boolean) => void;
  onError: (error: unknown) => void;
}

/** The last page has no cursor to go on from: it is read again, and what it has more is new. */
export async function follow({ read, isLive, limit, signal, onLines, onError }: Following): Promise<void> {
  let lines: Line[] = [];
  let cursor: string | undefined;
  let before = -1;
  const isOver = () => signal.aborted;
  while (!isOver()) {
    let page: Page;
    const wasLive = isLive();
    try {
      page = await read(cursor);
    } catch (error) {
      if (isOver()) return;
      onError(error);
      await pause(signal, ASKED_EACH_MS * 4);
      continue;
    }
    if (isOver()) return;
    const isLast = page.next_cursor === null || page.next_cursor === undefined;
    const all = [...lines, ...page.items];
    if (all.length !== before || (isLast && !wasLive)) onLines(all, isLast);
    before = all.length;
    if (isLast) {
      if (!wasLive) return;
      await pause(signal, ASKED_EACH_MS);
    } else {
      lines = all;
      cursor = page.next_cursor ?? undefined;
      if (lines.length >= limit) return;
    }
  }
}

function pause(signal: AbortSignal, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

async function readPage(
  run_id: string,
  node_id: string | null,
  cursor: string | undefined,
  signal: AbortSignal,
): Promise<Page> {
  const query = {
    limit: PAGE,
    ...(node_id === null ? {} : { node_id }),
    ...(cursor === undefined ? {} : { cursor }),
  };
  const { data } = await http.GET("/api/runs/{run_id}/logs", { params: { path: { run_id }, query }, signal });
  if (data === undefined) throw new Error("the log has no answer");
  return data;
}
