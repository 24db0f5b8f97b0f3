/* Where the expressions stand in a template: between `${` and the `}` that ends it. */

export interface Span {
  /** Of the expression itself, without `${` and `}`. */
  from: number;
  to: number;
  /** Its `}` is there. */
  isClosed: boolean;
}

export function spansOf(template: string): Span[] {
  const spans: Span[] = [];
  let at = template.indexOf("${");
  while (at >= 0) {
    const from = at + 2;
    const to = endOf(template, from);
    spans.push({ from, to, isClosed: to < template.length });
    at = template.indexOf("${", to);
  }
  return spans;
}

function endOf(text: string, from: number): number {
  let depth = 0;
  let quote = "";
  for (let at = from; at < text.length; at += 1) {
    const character = text.charAt(at);
    if (quote !== "") {
      if (character === "\\") at += 1;
      else if (character === quote) quote = "";
    } else if (character === '"' || character === "'") quote = character;
    else if (character === "{") depth += 1;
    else if (character === "}" && depth-- === 0) return at;
  }
  return text.length;
}

/** The template with each expression changed. */
export function mapExpressions(template: string, change: (expression: string) => string): string {
  let changed = "";
  let last = 0;
  for (const { from, to } of spansOf(template)) {
    changed += template.slice(last, from) + change(template.slice(from, to));
    last = to;
  }
  return changed + template.slice(last);
}
