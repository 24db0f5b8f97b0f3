import { describe, expect, it } from "vitest";
import { layOut, NODE_HEIGHT } from "./layout";

const COLUMNS = 20;
const ROWS = 25;

function crossed() {
  const name = (column: number, row: number) => `n${column}-${row}`;
  const nodes = [];
  const edges = [];
  for (let column = 0; column < COLUMNS; column += 1)
    for (let row = 0; row < ROWS; row += 1) {
      nodes.push({ id: name(column, row) });
      for (const more of [0, 1])
        if (column + 1 < COLUMNS)
          edges.push({ source: name(column, row), target: name(column + 1, (row * 3 + more) % ROWS) });
    }
  return { nodes, edges };
}

describe("the layout of a large graph", () => {
  it("is as high as its fullest column, and no two nodes cover each other", () => {
    const placed = layOut(crossed());
    const heights = placed.map(({ y }) => y);
    expect(Math.max(...heights) - Math.min(...heights)).toBeLessThan(ROWS * 2 * NODE_HEIGHT);
    expect(new Set(placed.map(({ x, y }) => `${x} ${y}`)).size).toBe(COLUMNS * ROWS);
  });
});
