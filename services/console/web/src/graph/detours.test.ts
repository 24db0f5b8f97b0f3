import { describe, expect, it } from "vitest";
import { detoursOf } from "./detours";

const places = (of: Record<string, [number, number]>) =>
  new Map(Object.entries(of).map(([id, [x, y]]) => [id, { x, y }]));

describe("an edge that skips nodes", () => {
  it("leads around a node which stands in its way, on the nearer side", () => {
    const found = detoursOf(
      [
        { source: "a", target: "b" },
        { source: "a", target: "c" },
      ],
      places({ a: [0, 0], b: [260, 20], c: [520, 0] }),
    );
    expect([...found.keys()]).toEqual([1]);
    expect(found.get(1)?.y).toBeLessThan(20);
    expect(found.get(1)?.from).toBeLessThan(260);
    expect(found.get(1)?.to).toBeGreaterThan(450);
  });

  it("is straight where nothing stands in its way", () => {
    const found = detoursOf([{ source: "a", target: "c" }], places({ a: [0, 0], b: [260, 90], c: [520, 0] }));
    expect(found.size).toBe(0);
  });

  it("passes by the neighbours of what it leads around too", () => {
    const found = detoursOf(
      [{ source: "a", target: "z" }],
      places({ a: [0, 0], b: [260, 0], over: [260, -80], z: [520, 0] }),
    );
    const y = found.get(0)?.y ?? 0;
    for (const middle of [29, -51]) expect(Math.abs(y - middle)).toBeGreaterThanOrEqual(29);
  });

  it("looks for none where an end is unknown, near, or on the left", () => {
    const at = places({ a: [0, 0], b: [260, 0], c: [520, 0] });
    const edges = [
      { source: "a", target: "gone" },
      { source: "a", target: "b" },
      { source: "c", target: "a" },
    ];
    expect(detoursOf(edges, at).size).toBe(0);
  });
});
