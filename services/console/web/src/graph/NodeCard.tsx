/* A node as it stands in a graph: what it is, what it is called, how it stands. */
import { Handle, Position, type NodeProps, type Node } from "@xyflow/react";
import { memo } from "react";
import { colourOf, StatusIcon } from "../ui/Status";
import { count } from "../ui/times";
import { kindOf } from "./kinds";
import { NODE_HEIGHT, NODE_WIDTH } from "./layout";

export interface CardData extends Record<string, unknown> {
  type: string;
  name: string;
  /** Of a node run. */
  status?: string | undefined;
  /** Beside the status: `62 %`, `attempt 2`, `waits for an approval`. */
  detail?: string | undefined;
  progress?: number | null | undefined;
  /** Of maps and loops: how many instances stand how. */
  instances?: Record<string, number> | undefined;
  isMap?: boolean | undefined;
  /** On the critical path, or part of a cycle. */
  mark?: "critical" | "fault" | "breakpoint" | undefined;
  isFaint?: boolean | undefined;
  /** In the designer edges are drawn between handles. */
  isConnectable?: boolean | undefined;
  /** Named ways in and out, beside the one that every node has. */
  ins?: PortHandle[] | undefined;
  outs?: PortHandle[] | undefined;
  /** Edges begin at the named ways out only. */
  hasOnlyNamedOuts?: boolean | undefined;
}

export interface PortHandle {
  id: string;
  label: string;
}

export type CardNode = Node<CardData, "card">;

export const NodeCard = memo(function NodeCard({ id, data, selected }: NodeProps<CardNode>) {
  const Sign = kindOf(data.type).icon;
  const colour = data.status === undefined ? "var(--ff-line)" : colourOf(data.status);
  const isStill = data.status === undefined || data.status === "idle" || data.status === "skipped";
  return (
    <div
      className="ff-card"
      data-testid={`node-${id}`}
      data-status={data.status}
      data-mark={data.mark}
      data-selected={selected}
      style={{
        width: NODE_WIDTH,
        height: NODE_HEIGHT,
        borderColor: isStill ? undefined : colour,
        borderStyle: data.status === "skipped" ? "dashed" : undefined,
        opacity: data.isFaint === true ? 0.45 : undefined,
      }}
    >
      <Handle
        type="target"
        position={Position.Left}
        isConnectable={data.isConnectable ?? false}
        aria-hidden
      />
      <div className="ff-card-head">
        <Sign size={17} stroke={1.7} aria-hidden style={{ flexShrink: 0 }} />
        <span className="ff-card-name" title={data.name}>
          {data.name}
        </span>
        {data.status === undefined ? null : <StatusIcon status={data.status} size={15} />}
      </div>
      <div className="ff-card-foot" style={isStill ? undefined : { color: colour }}>
        <Foot data={data} />
      </div>
      {data.progress === null || data.progress === undefined || data.status !== "running" ? null : (
        <div
          className="ff-card-bar"
          style={{ width: `${Math.min(100, data.progress)}%`, background: colour }}
        />
      )}
      <Handle
        type="source"
        position={Position.Right}
        isConnectable={data.isConnectable === true && data.hasOnlyNamedOuts !== true}
        aria-hidden
      />
      {data.ins?.map((port, index, all) => (
        <Port key={port.id} port={port} type="target" top={portTop(index, all.length)} data={data} />
      ))}
      {data.outs?.map((port, index, all) => (
        <Port key={port.id} port={port} type="source" top={portTop(index, all.length)} data={data} />
      ))}
    </div>
  );
});

/** One port stands above the plain handle, several spread around it. */
export function portTop(index: number, count: number): number {
  const step = count <= 2 ? 0.56 : 0.8 / (count - 1);
  return Math.round(NODE_HEIGHT * ((count <= 2 ? 0.22 : 0.1) + index * step));
}

function Port(props: { port: PortHandle; type: "source" | "target"; top: number; data: CardData }) {
  const { port, type, top, data } = props;
  const isOut = type === "source";
  return (
    <>
      <Handle
        id={port.id}
        type={type}
        position={isOut ? Position.Right : Position.Left}
        isConnectable={data.isConnectable ?? false}
        style={{ top }}
        title={port.label}
        aria-hidden
      />
      <span className="ff-card-port" style={{ top: top - 7, [isOut ? "right" : "left"]: 9 }} aria-hidden>
        {port.label}
      </span>
    </>
  );
}

function Foot({ data }: { data: CardData }) {
  if (data.instances !== undefined) return <Instances counts={data.instances} />;
  const words = [data.status?.replaceAll("_", " ") ?? kindOf(data.type).label, data.detail].filter(Boolean);
  return (
    <span>
      {data.isMap === true && data.status === undefined
        ? `${words.join(" · ")} · for each`
        : words.join(" · ")}
    </span>
  );
}

function Instances({ counts }: { counts: Record<string, number> }) {
  const all = Object.values(counts).reduce((sum, one) => sum + one, 0);
  const done = counts["completed"] ?? 0;
  const failed = counts["failed"] ?? 0;
  return (
    <span className="ff-number">
      {count(done)} of {count(all)}
      {failed > 0 ? <b style={{ color: "var(--ff-failed)" }}> · {count(failed)} failed</b> : null}
    </span>
  );
}
