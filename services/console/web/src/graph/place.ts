/* Small graphs are laid out at once, large ones beside the page, which stays usable meanwhile. */
import { useEffect, useMemo, useState } from "react";
import { layOut, type Placed, type Shape } from "./layout";

const AT_ONCE_MAX = 60;
let worker: Worker | null = null;
let lastKey = 0;
const waiting = new Map<number, (placed: Placed[]) => void>();

/** Laid out in a worker of its own. */
export function layOutBeside(shape: Shape): Promise<Placed[]> {
  if (worker === null) {
    worker = new Worker(new URL("./layout.worker.ts", import.meta.url), { type: "module" });
    worker.onmessage = (event: MessageEvent<{ key: number; placed: Placed[] }>) => {
      waiting.get(event.data.key)?.(event.data.placed);
      waiting.delete(event.data.key);
    };
  }
  lastKey += 1;
  const key = lastKey;
  worker.postMessage({ key, shape });
  return new Promise((resolve) => waiting.set(key, resolve));
}

/** Where the nodes stand, or null while that is worked out. `shape` must keep its identity while it is the same. */
export function usePlaces(shape: Shape): Map<string, Placed> | null {
  const isSmall = shape.nodes.length <= AT_ONCE_MAX;
  const atOnce = useMemo(() => (isSmall ? layOut(shape) : null), [shape, isSmall]);
  const [beside, setBeside] = useState<{ of: Shape; placed: Placed[] } | null>(null);
  useEffect(() => {
    if (isSmall) return;
    let isWanted = true;
    void layOutBeside(shape).then((placed) => {
      if (isWanted) setBeside({ of: shape, placed });
    });
    return () => {
      isWanted = false;
    };
  }, [shape, isSmall]);
  const placed = atOnce ?? (beside?.of === shape ? beside.placed : null);
  return useMemo(() => placed && new Map(placed.map((one) => [one.id, one])), [placed]);
}
