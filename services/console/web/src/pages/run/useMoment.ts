/* Which moment of the run is looked at: in the address (`?at=<position>`), now where it names none. */
import { useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useRef, useState } from "react";
import { useSearchParams } from "react-router";
import { countOf, numberAt, playedAtOnce, PLAYED_MS, positionAt, type Moments } from "./moments";
import { stateAt } from "./useRun";

/** The address follows a dragged slider no faster than this. */
const DRAGGED_MS = 90;
const AHEAD_AFTER_MS = 120;

export interface Travel {
  /** A position of the log; null is now. */
  at: number | null;
  /** Of the moment, from 1 to `count`. */
  number: number;
  count: number;
  isPlaying: boolean;
  /** To moment `number`; beyond the last one is now. */
  go: (number: number) => void;
  toPosition: (position: number) => void;
  toNow: () => void;
  play: () => void;
}

export function useTravel(runId: string, moments: Moments, want: () => void): Travel {
  const [search, setSearch] = useSearchParams();
  const said = Number(search.get("at") ?? "");
  const at = Number.isSafeInteger(said) && said > 0 ? said : null;
  const count = countOf(moments);
  const [dragged, setDragged] = useState<number | null>(null);
  const [isPlaying, setPlaying] = useState(false);
  const number = dragged ?? (at === null ? count : numberAt(moments, at));

  const toPosition = useCallback(
    (position: number | null) =>
      setSearch(
        (before) => {
          if (position === null) before.delete("at");
          else before.set("at", String(position));
          return before;
        },
        { replace: true },
      ),
    [setSearch],
  );
  const go = (to: number) => {
    want();
    setDragged(Math.max(1, Math.min(to, count)));
  };
  useEffect(() => {
    if (dragged === null) return;
    const timer = setTimeout(() => {
      toPosition(positionAt(moments, dragged));
      setDragged(null);
    }, DRAGGED_MS);
    return () => clearTimeout(timer);
  }, [dragged, moments, toPosition]);
  useEffect(() => {
    if (at !== null) want();
  }, [at, want]);

  const isAtEnd = number >= count;
  useEffect(() => {
    if (!isPlaying || isAtEnd) return;
    const timer = setTimeout(() => {
      const next = Math.min(count, number + playedAtOnce(count));
      toPosition(positionAt(moments, next));
    }, PLAYED_MS);
    return () => clearTimeout(timer);
  }, [isPlaying, isAtEnd, number, count, moments, toPosition]);

  useFetchedAhead(runId, moments, at === null ? null : number);
  return {
    at,
    number,
    count,
    isPlaying: isPlaying && !isAtEnd,
    go: (to) => {
      setPlaying(false);
      go(to);
    },
    toPosition: (position) => {
      setPlaying(false);
      want();
      toPosition(position);
    },
    toNow: () => {
      setPlaying(false);
      setDragged(null);
      toPosition(null);
    },
    play: () => {
      want();
      setPlaying((before) => !(before && !isAtEnd));
      if (isAtEnd || at === null) toPosition(positionAt(moments, 1));
    },
  };
}

/** The neighbours of what is looked at: a step shows them at once. */
function useFetchedAhead(runId: string, moments: Moments, number: number | null): void {
  const queries = useQueryClient();
  const known = useRef(moments);
  useEffect(() => {
    known.current = moments;
  });
  useEffect(() => {
    if (number === null) return;
    const timer = setTimeout(() => {
      for (const neighbour of [number - 1, number + 1]) {
        if (neighbour >= 1 && neighbour <= countOf(known.current))
          void queries.query(stateAt(runId, positionAt(known.current, neighbour))).catch(() => undefined);
      }
    }, AHEAD_AFTER_MS);
    return () => clearTimeout(timer);
  }, [queries, runId, number]);
}
