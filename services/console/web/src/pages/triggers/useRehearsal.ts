import { useCallback, useEffect, useRef, useState } from "react";
import { differencesFirst, rehearse, type Question, type Rehearsal } from "./rehearsal";

export interface Asked {
  /** 0 to 1 while the history is read. */
  progress: number | null;
  answer: Rehearsal | null;
  error: unknown;
}

const NOTHING: Asked = { progress: null, answer: null, error: null };

/** Asks what-if questions, one at a time: a new one ends the one before. */
export function useRehearsal() {
  const [asked, setAsked] = useState<Asked>(NOTHING);
  const own = useRef<AbortController | null>(null);
  useEffect(() => () => own.current?.abort(), []);
  const ask = useCallback(async (question: Question, before: Rehearsal | null) => {
    own.current?.abort();
    const mine = new AbortController();
    own.current = mine;
    setAsked({ progress: 0, answer: before, error: null });
    const progress = (part: number) =>
      setAsked((now) => (mine.signal.aborted ? now : { ...now, progress: part }));
    try {
      const page = await rehearse(question, progress, mine.signal);
      if (mine.signal.aborted) return;
      const items = differencesFirst([...(before?.items ?? []), ...page.items]);
      setAsked({ progress: null, answer: { ...page, items }, error: null });
    } catch (error) {
      if (!mine.signal.aborted) setAsked({ progress: null, answer: null, error });
    }
  }, []);
  return { ...asked, ask };
}
