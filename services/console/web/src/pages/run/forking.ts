/* What a fork is asked to have otherwise, as it is typed, and as the server takes it. */
import type { Schemas } from "../../api/client";
import { readJson } from "../../ui/readJson";

export interface ForkDraft {
  /** A position of the log; null is now. */
  at: number | null;
  /** JSON; empty leaves it as it was. */
  input: string;
  variables: string;
  /** JSON by node. */
  outputs: { nodeId: string; json: string }[];
  rerun: string[];
  /** Empty is that of the origin. */
  version: string;
  isShadow: boolean;
}

export const AS_IT_WAS: Omit<ForkDraft, "at"> = {
  input: "",
  variables: "",
  outputs: [],
  rerun: [],
  version: "",
  isShadow: false,
};

/** The body of the request, or what is wrong with the draft by the name of its field. */
export function forkBody(
  draft: ForkDraft,
): { body: Schemas["Fork"]; faults: null } | { body: null; faults: Record<string, string> } {
  const faults: Record<string, string> = {};
  const read = (field: string, json: string): unknown => {
    const given = readJson(json);
    if (!given.isSound) faults[field] = given.fault;
    return given.isSound ? given.value : undefined;
  };
  const input = draft.input.trim() === "" ? null : read("input", draft.input);
  const variables = draft.variables.trim() === "" ? {} : read("variables", draft.variables);
  if (typeof variables !== "object" || variables === null || Array.isArray(variables)) {
    faults["variables"] ??= "Variables are an object: each name with its value.";
  }
  const outputs = draft.outputs.map(({ nodeId, json }) => [nodeId, read(`output ${nodeId}`, json)] as const);
  const version = versionOf(draft.version.trim());
  if (version === undefined) faults["version"] = "A version is a number, or latest.";
  if (Object.keys(faults).length > 0 || version === undefined) return { body: null, faults };
  const changes: Schemas["Changes"] = {
    input_data: input,
    variables: variables as Record<string, unknown>,
    node_outputs: Object.fromEntries(outputs),
    rerun: draft.rerun,
    version,
    labels: null,
    priority: null,
    breakpoints: null,
    shadow: draft.isShadow,
  };
  return { body: { at: draft.at, changes }, faults: null };
}

function versionOf(typed: string): number | "latest" | null | undefined {
  if (typed === "") return null;
  if (typed === "latest") return "latest";
  return /^[1-9]\d*$/.test(typed) ? Number(typed) : undefined;
}
