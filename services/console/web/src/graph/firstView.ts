/* What of a graph is seen first: all of it where that can be read, else its beginning. */
import { NODE_HEIGHT, NODE_WIDTH } from "./layout";

export interface View {
  x: number;
  y: number;
  zoom: number;
  /** All of the graph is in it. */
  isWhole: boolean;
}

interface Point {
  x: number;
  y: number;
}

/** Names of nodes can just be read. */
const READABLE_ZOOM = 0.55;
const MARGIN = 28;

/** The view on nodes that stand at these places, in a window of this size; null where there is nothing to see. */
export function firstView(places: readonly Point[], width: number, height: number): View | null {
  const [first] = places;
  if (first === undefined || width <= 0 || height <= 0) return null;
  const start = places.reduce((least, one) => (one.x < least.x ? one : least), first);
  const [left, right] = [start.x, Math.max(...places.map(({ x }) => x)) + NODE_WIDTH];
  const top = Math.min(...places.map(({ y }) => y));
  const bottom = Math.max(...places.map(({ y }) => y)) + NODE_HEIGHT;
  const fitted = Math.min((width - 2 * MARGIN) / (right - left), (height - 2 * MARGIN) / (bottom - top), 1);
  const zoom = Math.max(fitted, READABLE_ZOOM);
  const isWide = (right - left) * zoom > width - 2 * MARGIN + 1;
  const isHigh = (bottom - top) * zoom > height - 2 * MARGIN + 1;
  const middle = isHigh ? start.y + NODE_HEIGHT / 2 : (top + bottom) / 2;
  return {
    x: isWide ? MARGIN - left * zoom : width / 2 - ((left + right) / 2) * zoom,
    y: height / 2 - middle * zoom,
    zoom,
    isWhole: !isWide && !isHigh,
  };
}
