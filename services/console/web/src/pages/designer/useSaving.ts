/* Saving: a new workflow, or a new version of one that nobody else saved meanwhile. */
import { useState } from "react";
import { http, Problem } from "../../api/client";
import { queries } from "../../api/queries";
import { say, sayProblem } from "../../ui/say";
import type { Clash } from "./Conflict";
import { fieldsOf, textOf, type Definition } from "./model/definition";
import { definitionOf, isDirty, textOfDesign, type Design } from "./model/design";
import { authored } from "./model/stored";
import type { Deeds } from "./useDesign";

export interface Saving {
  isBusy: boolean;
  clash: Clash | null;
  /** Whether it is saved now, as it is shown. */
  save: () => Promise<boolean>;
  saveOver: () => Promise<boolean>;
  dropMine: () => void;
  forget: () => void;
}

export function useSaving(design: Design, { act }: Deeds, onCreated: (id: string) => void): Saving {
  const [isBusy, setBusy] = useState(false);
  const [clash, setClash] = useState<Clash | null>(null);
  const definition = definitionOf(design);
  const id = textOf(definition["id"]);

  async function put(version: number | null): Promise<boolean> {
    setBusy(true);
    try {
      const saved = version === null ? await created(definition) : await updated(id, definition, version);
      act({ do: "saved", definition, version: saved });
      setClash(null);
      say(`Saved as version ${saved}`);
      await queries.invalidateQueries();
      if (version === null) onCreated(id);
      return true;
    } catch (error) {
      if (version !== null && isClash(error)) setClash(await clashOf(id));
      else sayProblem(error);
      return false;
    } finally {
      setBusy(false);
    }
  }
  return {
    isBusy,
    clash,
    save: async () => {
      if (design.broken !== null) {
        say(
          `Line ${design.broken.fault.line}: ${design.broken.fault.message}`,
          "The YAML has a fault: mend it first",
        );
        return false;
      }
      if (design.saved !== null && !isDirty(design)) return true;
      return put(design.saved?.version ?? null);
    },
    saveOver: async () => (clash === null ? false : put(clash.version)),
    dropMine: () => {
      if (clash === null) return;
      const { theirs, version } = clash;
      const text = textOfDesign({ ...design, broken: null });
      const snapshot = { definition: theirs, source: { text, definition: definitionOf(design) } };
      act({ do: "replace", snapshot, saved: { definition: theirs, version } });
      setClash(null);
    },
    forget: () => setClash(null),
  };
}

async function created(definition: Definition): Promise<number> {
  const { data } = await http.POST("/api/workflows", { body: definition as never });
  return data?.version ?? 1;
}

async function updated(id: string, definition: Definition, version: number): Promise<number> {
  const { data } = await http.PUT("/api/workflows/{workflow_id}", {
    params: { path: { workflow_id: id }, header: { "If-Match": `"${version}"` } },
    body: definition as never,
  });
  return data?.version ?? version + 1;
}

function isClash(error: unknown): boolean {
  return error instanceof Problem && (error.status === 412 || error.code === "PRECONDITION_FAILED");
}

async function clashOf(id: string): Promise<Clash | null> {
  try {
    const { data } = await http.GET("/api/workflows/{workflow_id}", {
      params: { path: { workflow_id: id } },
    });
    if (data === undefined) return null;
    return { theirs: authored(fieldsOf(data)), version: data.version, by: data.created_by };
  } catch (error) {
    sayProblem(error);
    return null;
  }
}
