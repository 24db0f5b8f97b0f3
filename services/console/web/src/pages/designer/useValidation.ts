/* The server's opinion of the definition, asked when typing pauses; only the latest counts. */
import { useEffect, useMemo, useState } from "react";
import { http } from "../../api/client";
import { foundIn, type Found, type Report } from "./check/findings";
import type { Definition } from "./model/definition";

const PAUSE_MS = 350;

export interface Opinion {
  report: Report | null;
  found: readonly Found[];
  /** The answer is for what is shown now. */
  isCurrent: boolean;
  /** Nobody answered. */
  isFailed: boolean;
}

export function useValidation(definition: Definition): Opinion {
  const [answer, setAnswer] = useState<{ of: Definition; report: Report | null } | null>(null);
  useEffect(() => {
    const asking = new AbortController();
    const timer = setTimeout(() => {
      http
        .POST("/api/workflows/validate", { body: definition, signal: asking.signal })
        .then(({ data }) => {
          if (!asking.signal.aborted) setAnswer({ of: definition, report: data ?? null });
        })
        .catch(() => {
          if (!asking.signal.aborted) setAnswer({ of: definition, report: null });
        });
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      asking.abort();
    };
  }, [definition]);
  const found = useMemo(() => (answer === null ? [] : foundIn(answer.of, answer.report)), [answer]);
  const isCurrent = answer?.of === definition;
  return {
    report: answer?.report ?? null,
    found,
    isCurrent,
    isFailed: answer !== null && answer.report === null,
  };
}
