/* The designer's state for its parts: read with `useDesign`, changed with what it gives. */
import { createContext, useContext, useMemo, useReducer } from "react";
import { say } from "../../ui/say";
import type { Found } from "./check/findings";
import type { Definition } from "./model/definition";
import {
  beginDesign,
  definitionOf,
  designed,
  NOTHING,
  type Act,
  type Design,
  type Selection,
} from "./model/design";
import type { Scope } from "./model/graphs";
import type { Snapshot } from "./model/history";

export interface Deeds {
  /** One step that can be undone; changes with the same key in quick succession are one step. */
  edit: (change: (definition: Definition) => Definition, key?: string, select?: Selection) => void;
  select: (selection: Selection | ((selection: Selection) => Selection)) => void;
  open: (scope: Scope, selection?: Selection) => void;
  act: (act: Act) => void;
}

export function useDesignState(snapshot: Snapshot, saved: Design["saved"]): { design: Design; deeds: Deeds } {
  const [design, act] = useReducer(designed, null, () => beginDesign(snapshot, saved));
  const isBroken = design.broken !== null;
  const deeds = useMemo<Deeds>(
    () => ({
      act,
      edit: (change, key, select) => {
        if (isBroken) {
          say(
            "Mend the fault in the YAML first, or take back what was typed there.",
            "The text cannot be read",
          );
          return;
        }
        const now = Date.now();
        act({ do: "edit", change, key: key ?? null, now, ...(select === undefined ? {} : { select }) });
      },
      select: (selection) =>
        act({ do: "select", selection: typeof selection === "function" ? selection : () => selection }),
      open: (scope, selection = NOTHING) => act({ do: "open", scope, selection }),
    }),
    [isBroken],
  );
  return { design, deeds };
}

interface Shared extends Deeds {
  definition: Definition;
  scope: Scope;
  selection: Selection;
  /** Null before the first save. */
  version: number | null;
  found: readonly Found[];
  secrets: readonly string[];
}

export const DesignContext = createContext<Shared | null>(null);

export function useDesign(): Shared {
  const shared = useContext(DesignContext);
  if (shared === null) throw new Error("a part of the designer stands only inside of it");
  return shared;
}

export function useShared(
  design: Design,
  deeds: Deeds,
  found: readonly Found[],
  secrets: readonly string[],
): Shared {
  const definition = definitionOf(design);
  const { scope, selection } = design;
  const version = design.saved?.version ?? null;
  return useMemo(
    () => ({ ...deeds, definition, scope, selection, version, found, secrets }),
    [deeds, definition, scope, selection, version, found, secrets],
  );
}
