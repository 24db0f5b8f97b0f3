/* A message as it was put aside: text, or bytes written as base64; JSON where it is some. */

export interface Body {
  /** The value, where the text is JSON. */
  value: unknown;
  isJson: boolean;
  text: string;
}

export function bodyOf(body: string, encoding: string): Body {
  const text = encoding === "base64" ? decoded(body) : body;
  try {
    return { value: JSON.parse(text) as unknown, isJson: true, text };
  } catch {
    return { value: undefined, isJson: false, text };
  }
}

/** As text where it is UTF-8, else as it was written. */
function decoded(body: string): string {
  try {
    const bytes = Uint8Array.from(atob(body), (character) => character.charCodeAt(0));
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return body;
  }
}
