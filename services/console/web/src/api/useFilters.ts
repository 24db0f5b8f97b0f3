/* Filters of a list, kept in the address, so that every view has its own. */
import { useCallback } from "react";
import { useSearchParams } from "react-router";

/** What is set, and how to change some of it; null or empty takes one away. Typing (`isTyped`) leaves no trace in the history. */
export function useFilters(): [
  URLSearchParams,
  (change: Record<string, string | null>, isTyped?: boolean) => void,
] {
  const [query, setQuery] = useSearchParams();
  const change = useCallback(
    (changes: Record<string, string | null>, isTyped = false) =>
      setQuery(
        (before) => {
          const next = new URLSearchParams(before);
          for (const [name, value] of Object.entries(changes)) {
            if (value === null || value === "") next.delete(name);
            else next.set(name, value);
          }
          return next;
        },
        { replace: isTyped },
      ),
    [setQuery],
  );
  return [query, change];
}
