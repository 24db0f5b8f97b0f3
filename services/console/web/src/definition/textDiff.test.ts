import { describe, expect, it } from "vitest";
import { folded, textDiff, type Line } from "./textDiff";

const signs = { same: " ", removed: "-", added: "+" };
const shown = (lines: Line[]) => lines.map(({ kind, text }) => signs[kind] + text);
const side = (lines: Line[], kind: Line["kind"]) =>
  lines.filter((line) => line.kind === "same" || line.kind === kind).map(({ text }) => text);

describe("the difference of two texts", () => {
  it("names lines that went and lines that came, with their numbers", () => {
    expect(textDiff("a\nb\nc\n", "a\nB\nc\nd\n")).toEqual([
      { kind: "same", text: "a", before: 1, after: 1 },
      { kind: "removed", text: "b", before: 2, after: null },
      { kind: "added", text: "B", before: null, after: 2 },
      { kind: "same", text: "c", before: 3, after: 3 },
      { kind: "added", text: "d", before: null, after: 4 },
    ]);
  });

  it("is nothing for equal texts, and all for an empty one", () => {
    expect(shown(textDiff("a\nb", "a\nb\n"))).toEqual([" a", " b"]);
    expect(shown(textDiff("", "a\n"))).toEqual(["+a"]);
    expect(shown(textDiff("a\n", ""))).toEqual(["-a"]);
    expect(textDiff("", "")).toEqual([]);
  });

  it("is as short as can be", () => {
    const lines = textDiff("a\nb\nc\na\nb\nb\na", "c\nb\na\nb\na\nc");
    expect(lines.filter(({ kind }) => kind !== "same")).toHaveLength(5);
  });

  it("gives back both texts, whatever they are", () => {
    let seed = 7;
    const random = (most: number) => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed % most;
    };
    for (let round = 0; round < 300; round += 1) {
      const some = () => Array.from({ length: random(14) + 1 }, () => String(random(4)));
      const [a, b] = [some(), some()];
      const lines = textDiff(a.join("\n"), b.join("\n"));
      expect(side(lines, "removed")).toEqual(a);
      expect(side(lines, "added")).toEqual(b);
    }
  });

  it("tells thousands of exchanged lines at once", () => {
    const of = (name: string) => Array.from({ length: 6_000 }, (_one, at) => `${name}${at}`).join("\n");
    const began = performance.now();
    expect(textDiff(of("a"), of("b"))).toHaveLength(12_000);
    expect(performance.now() - began).toBeLessThan(5_000);
  });
});

describe("folding", () => {
  const lines = textDiff(
    Array.from({ length: 20 }, (_one, at) => `line ${at}`).join("\n"),
    Array.from({ length: 20 }, (_one, at) => (at === 10 ? "other" : `line ${at}`)).join("\n"),
  );

  it("keeps a few lines around a change and hides the rest", () => {
    const parts = folded(lines, 2);
    expect(parts.map((part) => ("lines" in part ? part.lines.length : -part.hidden.length))).toEqual([
      -8, 6, -7,
    ]);
  });

  it("hides all where nothing changed", () => {
    expect(folded(textDiff("a\nb", "a\nb"))).toEqual([{ hidden: textDiff("a\nb", "a\nb") }]);
  });
});
