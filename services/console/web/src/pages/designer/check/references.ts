/* How CEL names things: `nodes.extract`, and `nodes["my-node"]` where the id is no identifier. */

const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]*$/;
const RESERVED: ReadonlySet<string> = new Set(
  "as break const continue else false for function if import in let loop namespace null package return true var void while".split(
    " ",
  ),
);

export function isIdentifier(name: string): boolean {
  return IDENTIFIER.test(name) && !RESERVED.has(name);
}

export function asCel(parent: string, name: string): string {
  return isIdentifier(name) ? `${parent}.${name}` : `${parent}[${JSON.stringify(name)}]`;
}
