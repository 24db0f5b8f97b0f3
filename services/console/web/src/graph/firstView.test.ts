import { describe, expect, it } from "vitest";
import { firstView } from "./firstView";

const chain = (length: number) => Array.from({ length }, (_none, at) => ({ x: at * 260, y: 0 }));

describe("what of a graph is seen first", () => {
  it("is all of a small one, in the middle and not enlarged", () => {
    const view = firstView(chain(2), 1000, 600);
    expect(view?.zoom).toBe(1);
    expect(view?.x).toBe(500 - 225);
  });

  it("is the beginning of a long one, so that its names can be read", () => {
    const view = firstView(chain(40), 700, 600);
    expect(view?.zoom).toBeGreaterThan(0.5);
    expect(view?.x).toBeGreaterThan(0);
  });

  it("is where it begins, of one that is high too", () => {
    const places = [
      { x: 0, y: 4000 },
      ...Array.from({ length: 80 }, (_none, at) => ({ x: 260, y: at * 84 })),
    ];
    const view = firstView(places, 700, 600);
    expect((view?.y ?? 0) + 4029 * (view?.zoom ?? 0)).toBeCloseTo(300);
  });

  it("is nothing where there is none", () => {
    expect(firstView([], 700, 600)).toBeNull();
    expect(firstView(chain(2), 0, 0)).toBeNull();
  });
});
