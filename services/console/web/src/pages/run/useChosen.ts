/* Which node (and instance) is looked at: in the address, so that it can be sent to somebody. */
import { useCallback } from "react";
import { useSearchParams } from "react-router";

export interface Choice {
  nodeId?: string | null;
  instance?: string | null;
  view?: "instances" | null;
}

export interface Chosen {
  nodeId: string | null;
  instance: string | null;
  view: "instances" | null;
  /** What is left out stays. */
  choose: (choice: Choice) => void;
}

const NAMES: [keyof Choice, string][] = [
  ["nodeId", "node"],
  ["instance", "instance"],
  ["view", "view"],
];

export function useChosen(): Chosen {
  const [search, setSearch] = useSearchParams();
  const choose = useCallback(
    (choice: Choice) =>
      setSearch(
        (before) => {
          for (const [field, name] of NAMES) {
            const value = choice[field];
            if (value === null) before.delete(name);
            else if (value !== undefined) before.set(name, value);
          }
          return before;
        },
        { replace: true },
      ),
    [setSearch],
  );
  return {
    nodeId: search.get("node"),
    instance: search.get("instance"),
    view: search.get("view") === "instances" ? "instances" : null,
    choose,
  };
}
