import { describe, expect, it } from "vitest";
import { NODE_HEIGHT, NODE_WIDTH } from "./layout";
import { scaled } from "./mapScale";

describe("the map of a graph", () => {
  it("has every node within it, wherever these stand", () => {
    const places = [
      { x: -5000, y: 300 },
      { x: 9000, y: 12_000 },
    ];
    const { factor, x, y } = scaled(places, 200, 130);
    for (const place of places) {
      expect(place.x * factor + x).toBeGreaterThanOrEqual(0);
      expect(place.y * factor + y).toBeGreaterThanOrEqual(0);
      expect((place.x + NODE_WIDTH) * factor + x).toBeLessThanOrEqual(200);
      expect((place.y + NODE_HEIGHT) * factor + y).toBeLessThanOrEqual(130);
    }
  });
});
