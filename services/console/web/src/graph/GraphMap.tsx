/* The whole graph in small, with what of it is seen: drawn as one picture, as the parts of a large graph are too many for parts of a page. */
import { Panel, useReactFlow, useStore } from "@xyflow/react";
import { useComputedColorScheme } from "@mantine/core";
import { useEffect, useMemo, useRef, type PointerEvent } from "react";
import { NODE_HEIGHT, NODE_WIDTH } from "./layout";
import { scaled, type Scale } from "./mapScale";

const WIDTH = 200;
const HEIGHT = 130;
/** Of a node, so that it is seen however small it gets. */
const SIDE_MIN = 1.5;

interface GraphMapProps<T> {
  nodes: readonly { position: { x: number; y: number }; data: T }[];
  /** A CSS custom property: `var(--ff-…)`. */
  colour: (data: T) => string;
}

export function GraphMap<T>({ nodes, colour }: GraphMapProps<T>) {
  const flow = useReactFlow();
  const scheme = useComputedColorScheme("light");
  const canvas = useRef<HTMLCanvasElement>(null);
  const scale = useMemo(
    () =>
      scaled(
        nodes.map(({ position }) => position),
        WIDTH,
        HEIGHT,
      ),
    [nodes],
  );
  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (canvas.current === null || context === undefined || context === null) return;
    const style = getComputedStyle(canvas.current);
    const real = new Map<string, string>();
    const realOf = (name: string) => {
      const known = real.get(name) ?? style.getPropertyValue(name.slice(4, -1)).trim();
      real.set(name, known);
      return known;
    };
    context.clearRect(0, 0, WIDTH, HEIGHT);
    const [width, height] = [NODE_WIDTH, NODE_HEIGHT].map((side) => Math.max(SIDE_MIN, side * scale.factor));
    for (const { position, data } of nodes) {
      context.fillStyle = realOf(colour(data));
      context.fillRect(
        position.x * scale.factor + scale.x,
        position.y * scale.factor + scale.y,
        width ?? SIDE_MIN,
        height ?? SIDE_MIN,
      );
    }
  }, [nodes, colour, scale, scheme]);
  const go = (event: PointerEvent<HTMLDivElement>) => {
    if (event.buttons !== 1) return;
    const box = event.currentTarget.getBoundingClientRect();
    const x = (event.clientX - box.left - scale.x) / scale.factor;
    const y = (event.clientY - box.top - scale.y) / scale.factor;
    void flow.setCenter(x, y, { zoom: flow.getZoom() });
  };
  return (
    <Panel position="bottom-right" className="ff-map" data-testid="graph-map">
      <div role="img" aria-label="Map of the graph" onPointerDown={go} onPointerMove={go}>
        <canvas ref={canvas} width={WIDTH} height={HEIGHT} />
        <Seen scale={scale} />
      </div>
    </Panel>
  );
}

/** The part that the window shows. */
function Seen({ scale }: { scale: Scale }) {
  const key = useStore(({ transform, width, height }) => [...transform, width, height].join(" "));
  const [x = 0, y = 0, zoom = 1, width = 0, height = 0] = key.split(" ").map(Number);
  const left = (-x / zoom) * scale.factor + scale.x;
  const top = (-y / zoom) * scale.factor + scale.y;
  const [right, bottom] = [left + (width / zoom) * scale.factor, top + (height / zoom) * scale.factor];
  const [from, to] = [Math.max(0, left), Math.max(0, top)];
  return (
    <div
      className="ff-map-seen"
      style={{
        left: from,
        top: to,
        width: Math.max(0, Math.min(WIDTH, right) - from),
        height: Math.max(0, Math.min(HEIGHT, bottom) - to),
      }}
    />
  );
}
