/* A graph as a small drawing: what it is like, not what it says. */
import { useMemo } from "react";
import { kindOf } from "./kinds";
import { layOut, NODE_HEIGHT, NODE_WIDTH } from "./layout";
import type { Drawn } from "./WorkflowGraph";

const SIGN_PX = 34;
const MARGIN_PX = 16;

export function Sketch({ drawn, label, height = 110 }: { drawn: Drawn; label: string; height?: number }) {
  const placed = useMemo(
    () => layOut({ nodes: drawn.nodes.map(({ id }) => ({ id })), edges: drawn.edges }),
    [drawn],
  );
  const at = new Map(placed.map((one) => [one.id, one]));
  const width = Math.max(NODE_WIDTH, ...placed.map(({ x }) => x + NODE_WIDTH)) + 2 * MARGIN_PX;
  const tall = Math.max(NODE_HEIGHT, ...placed.map(({ y }) => y + NODE_HEIGHT)) + 2 * MARGIN_PX;
  return (
    <svg
      viewBox={`${-MARGIN_PX} ${-MARGIN_PX} ${width} ${tall}`}
      width="100%"
      height={height}
      role="img"
      aria-label={`${label}: ${drawn.nodes.map(({ data }) => data.name).join(", ")}`}
      style={{ display: "block" }}
    >
      {drawn.edges.map(({ id, source, target }) => {
        const [from, to] = [at.get(source), at.get(target)];
        if (from === undefined || to === undefined) return null;
        const [x1, y1] = [from.x + NODE_WIDTH, from.y + NODE_HEIGHT / 2];
        const [x2, y2] = [to.x, to.y + NODE_HEIGHT / 2];
        const bend = Math.max(30, (x2 - x1) / 2);
        const way = `M${x1},${y1} C${x1 + bend},${y1} ${x2 - bend},${y2} ${x2},${y2}`;
        return <path key={id} d={way} fill="none" stroke="var(--ff-idle)" strokeWidth={3} />;
      })}
      {drawn.nodes.map(({ id, data }) => {
        const place = at.get(id);
        const Sign = kindOf(data.type).icon;
        return place === undefined ? null : (
          <g key={id} transform={`translate(${place.x},${place.y})`}>
            <rect
              width={NODE_WIDTH}
              height={NODE_HEIGHT}
              rx={12}
              fill="var(--ff-raised)"
              stroke="var(--ff-idle)"
              strokeWidth={3}
            />
            <Sign
              x={(NODE_WIDTH - SIGN_PX) / 2}
              y={(NODE_HEIGHT - SIGN_PX) / 2}
              size={SIGN_PX}
              color="var(--mantine-color-text)"
            />
          </g>
        );
      })}
    </svg>
  );
}
