/* How a graph is made small: `x · factor + scale.x` is where it stands on the map. */
import { NODE_HEIGHT, NODE_WIDTH } from "./layout";

export interface Scale {
  factor: number;
  x: number;
  y: number;
}

const MARGIN = 6;

/** All nodes in the middle of a map of this size. */
export function scaled(places: readonly { x: number; y: number }[], width: number, height: number): Scale {
  if (places.length === 0) return { factor: 1, x: 0, y: 0 };
  const left = Math.min(...places.map(({ x }) => x));
  const top = Math.min(...places.map(({ y }) => y));
  const right = Math.max(...places.map(({ x }) => x)) + NODE_WIDTH;
  const bottom = Math.max(...places.map(({ y }) => y)) + NODE_HEIGHT;
  const factor = Math.min((width - 2 * MARGIN) / (right - left), (height - 2 * MARGIN) / (bottom - top));
  return {
    factor,
    x: width / 2 - ((left + right) / 2) * factor,
    y: height / 2 - ((top + bottom) / 2) * factor,
  };
}
