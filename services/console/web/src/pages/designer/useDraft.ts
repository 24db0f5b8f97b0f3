/* What is not saved is kept in the tab, against a reload and a wrong turn. */
import { useEffect } from "react";
import { asDefinition, isFault, isFields } from "./model/definition";
import type { Design } from "./model/design";
import { read } from "./text/read";
import type { Snapshot } from "./model/history";

const KEPT_AFTER_MS = 400;

export interface Draft {
  snapshot: Snapshot;
  /** That it was made from; null for a new workflow. */
  version: number | null;
}

function keyOf(name: string): string {
  return `flowforge draft ${name}`;
}

export function readDraft(name: string): Draft | null {
  try {
    const kept: unknown = JSON.parse(sessionStorage.getItem(keyOf(name)) ?? "null");
    if (!isFields(kept) || typeof kept["text"] !== "string") return null;
    const { text, version } = kept;
    const typed = read(text);
    const definition = asDefinition(kept["definition"]);
    if ("fault" in typed || isFault(definition)) return null;
    return {
      snapshot: { definition, source: { text, definition: typed.definition } },
      version: typeof version === "number" ? version : null,
    };
  } catch {
    return null;
  }
}

export function dropDraft(name: string): void {
  try {
    sessionStorage.removeItem(keyOf(name));
  } catch {
    /* a browser that keeps nothing has no draft either */
  }
}

export function useDraft(name: string, design: Design, isUnsaved: boolean): void {
  const { present } = design.history;
  const version = design.saved?.version ?? null;
  useEffect(() => {
    if (!isUnsaved) {
      dropDraft(name);
      return;
    }
    const timer = setTimeout(() => {
      try {
        sessionStorage.setItem(
          keyOf(name),
          JSON.stringify({ definition: present.definition, text: present.source.text, version }),
        );
      } catch {
        /* too large, or not allowed: nothing is kept */
      }
    }, KEPT_AFTER_MS);
    return () => clearTimeout(timer);
  }, [name, present, version, isUnsaved]);
}
