/* Filters live in the address: every view has one, and back works. */
import { useCallback } from "react";
import { useSearchParams } from "react-router";

/** The text under a name, empty without one, and how it is changed; an empty one is left out. */
export function useFilters(): [(name: string) => string, (changed: Record<string, string | null>) => void] {
  const [search, setSearch] = useSearchParams();
  const set = useCallback(
    (changed: Record<string, string | null>) =>
      setSearch(
        (before) => {
          const next = new URLSearchParams(before);
          for (const [name, value] of Object.entries(changed)) {
            if (value === null || value === "") next.delete(name);
            else next.set(name, value);
          }
          return next;
        },
        { replace: true },
      ),
    [setSearch],
  );
  return [(name) => search.get(name) ?? "", set];
}

/** Those of these filters that are set, as a query has them. */
export function given<Name extends string>(
  filter: (name: string) => string,
  names: readonly Name[],
): Partial<Record<Name, string>> {
  const query: Partial<Record<Name, string>> = {};
  for (const name of names) {
    const value = filter(name);
    if (value !== "") query[name] = value;
  }
  return query;
}
