/* What the description leaves open (`unknown`), read as what it is here. */

export type Fields = Record<string, unknown>;

export function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Its fields; of anything but an object none. */
export function fieldsOf(value: unknown): Fields {
  return isObject(value) ? value : {};
}

export function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : [];
}

/** Its texts, in order; what is no text is left out. */
export function textsOf(value: unknown): string[] {
  return listOf(value).filter((one): one is string => typeof one === "string");
}

export function textOf(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

export function numberOf(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}

/** Name and value, both texts: labels. */
export function pairsOf(value: unknown): [string, string][] {
  return Object.entries(fieldsOf(value)).map(([name, one]) => [
    name,
    typeof one === "string" ? one : JSON.stringify(one),
  ]);
}

/** Counts by name; nothing where there are none. */
export function countsOf(value: unknown): Record<string, number> | undefined {
  const counts = Object.entries(fieldsOf(value)).filter(
    (entry): entry is [string, number] => typeof entry[1] === "number",
  );
  return counts.length === 0 ? undefined : Object.fromEntries(counts);
}

/** An error as runs and nodes carry it. */
export interface RunError {
  code: string;
  message: string;
  affectedNodes: string[];
  dependencyChain: string[];
  suggestion: string | null;
}

export function errorOf(value: unknown): RunError | null {
  const fields = fieldsOf(value);
  const code = textOf(fields["code"]);
  const message = textOf(fields["message"]);
  if (code === null && message === null) return null;
  return {
    code: code ?? "",
    message: message ?? "",
    affectedNodes: textsOf(fields["affected_nodes"]),
    dependencyChain: textsOf(fields["dependency_chain"]),
    suggestion: textOf(fields["suggested_resolution"]),
  };
}
