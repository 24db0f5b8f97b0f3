/** `team=data, ticket=41` as labels; a name alone has an empty value. */
export function labelsOf(text: string): Record<string, string> {
  const pairs = text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "")
    .map((part) => {
      const at = part.indexOf("=");
      return at < 0 ? [part, ""] : [part.slice(0, at).trim(), part.slice(at + 1).trim()];
    });
  return Object.fromEntries(pairs) as Record<string, string>;
}
