/* The moments of a run as they become known: the first page at once, the last moment beside; the others page by page once
   somebody moves in the history. What comes live joins them. */
import { useCallback, useEffect, useRef, useState } from "react";
import { http } from "../../api/client";
import { firstEvent, type LoggedEvent } from "../../api/live";
import { areAllKnown, NO_MOMENTS, withEvents, type Moments } from "./moments";

const PAGE = 1_000;
/** Beyond so many, moments between the known ones and the last are guessed. */
const KNOWN_MAX = 50_000;

export interface KnownMoments {
  moments: Moments;
  /** Whether the first page was read, or could not be: what comes live may join. */
  isBegun: boolean;
  /** Load the moments that are not known yet. */
  want: () => void;
  join: (events: readonly LoggedEvent[]) => void;
}

/** `lastPosition`: of the run's last event, as far as the read model has it; null while nothing is known of it. */
export function useMoments(runId: string, lastPosition: number | null): KnownMoments {
  const known = useRef<Moments>(NO_MOMENTS);
  const [moments, setMoments] = useState<Moments>(NO_MOMENTS);
  const [isBegun, setBegun] = useState(false);
  const [isWanted, setWanted] = useState(false);
  const cursor = useRef<string | undefined>(undefined);
  /** Whether the last page was read: until then the head is not the whole. */
  const [isRead, setRead] = useState(false);
  const join = useCallback((events: readonly LoggedEvent[]) => {
    known.current = withEvents(known.current, events);
    setMoments(known.current);
  }, []);

  /** Page after page, so many at most; where events came while the last page was read, it is read again. Answers whether
      there are more pages. */
  const load = useCallback(
    async (pagesMax: number, signal: AbortSignal) => {
      for (let pages = 0; pages < pagesMax && known.current.head.length < KNOWN_MAX; pages += 1) {
        const page = await readPage(runId, cursor.current, signal);
        if (page === null) return false;
        join(page.items);
        setRead(page.next_cursor == null);
        if (page.next_cursor != null) cursor.current = page.next_cursor;
        else if (areAllKnown(known.current)) return false;
      }
      return true;
    },
    [runId, join],
  );

  const isThere = lastPosition !== null;
  const latest = useRef(lastPosition);
  useEffect(() => {
    latest.current = lastPosition;
  });
  useEffect(() => {
    if (!isThere) return;
    const stop = new AbortController();
    const begin = async () => {
      known.current = NO_MOMENTS;
      cursor.current = undefined;
      const hasMore = await load(1, stop.signal);
      if (stop.signal.aborted) return;
      setBegun(true);
      if (!hasMore) return;
      const address = `/api/runs/${runId}/stream`;
      const last = await firstEvent(address, (latest.current ?? 1) - 1, stop.signal);
      if (last !== null) join([last]);
    };
    void begin();
    return () => stop.abort();
  }, [runId, isThere, load, join]);

  const isWhole = isRead && areAllKnown(moments);
  useEffect(() => {
    if (!isWanted || !isBegun || isWhole) return;
    const stop = new AbortController();
    void load(Infinity, stop.signal);
    return () => stop.abort();
  }, [isWanted, isBegun, isWhole, load]);

  const want = useCallback(() => setWanted(true), []);
  return { moments, isBegun, want, join };
}

async function readPage(run_id: string, cursor: string | undefined, signal: AbortSignal) {
  const query = { limit: PAGE, ...(cursor === undefined ? {} : { cursor }) };
  const answer = await http
    .GET("/api/runs/{run_id}/events", { params: { path: { run_id }, query }, signal })
    .catch(() => null);
  return answer?.data ?? null;
}
