/* Values of templates as one types them: text is text, and what looks like JSON's other values is that. */

const OTHER = /^(?:-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|true|false|null|[[{"][\s\S]*)$/;

/** `5` is a number, `"5"` and everything that is not JSON a text. */
export function valueOf(typed: string): unknown {
  const text = typed.trim();
  if (!OTHER.test(text)) return typed;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return typed;
  }
}

/** What has to be typed for a value. */
export function typedOf(value: unknown): string {
  if (value === undefined) return "";
  if (typeof value !== "string") return JSON.stringify(value);
  return valueOf(value) === value ? value : JSON.stringify(value);
}
