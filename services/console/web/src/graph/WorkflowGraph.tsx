/* A graph to look at and to choose nodes in: of a workflow, or of a run at a moment. */
import "./graph.css";
import { Background, Controls, ReactFlow, useReactFlow, useStore, type Edge } from "@xyflow/react";
import { useComputedColorScheme } from "@mantine/core";
import { useEffect, useMemo, useRef } from "react";
import { Loading } from "../ui/Said";
import { colourOf } from "../ui/Status";
import { GraphMap } from "./GraphMap";
import { detoursOf } from "./detours";
import { lineKinds } from "./lines";
import { NodeCard, type CardData, type CardNode } from "./NodeCard";
import { usePlaces } from "./place";
import { NODE_HEIGHT, NODE_WIDTH, type Shape } from "./layout";

export interface Drawn {
  nodes: { id: string; data: CardData; position?: { x: number; y: number } | null }[];
  edges: {
    id: string;
    source: string;
    target: string;
    label?: string;
    status?: string;
    isFaint?: boolean;
    isMarked?: boolean;
  }[];
}

interface WorkflowGraphProps {
  drawn: Drawn;
  selected?: string | null;
  onSelect?: (nodeId: string | null) => void;
  label: string;
}

const kinds = { card: NodeCard };
function colourOnMap({ status }: CardData): string {
  return colourOf(status ?? "idle");
}

const MAP_FROM = 25;

export function WorkflowGraph({ drawn, selected = null, onSelect, label }: WorkflowGraphProps) {
  const scheme = useComputedColorScheme("light");
  const key =
    drawn.nodes.map(({ id }) => id).join(" ") +
    "|" +
    drawn.edges.map(({ source, target }) => `${source}>${target}`).join(" ");
  const shape = useMemo<Shape>(
    () => ({ nodes: drawn.nodes.map(({ id }) => ({ id })), edges: drawn.edges }),
    // eslint-disable-next-line react-hooks/exhaustive-deps -- states change all the time, the shape does not
    [key],
  );
  const isPlaced =
    drawn.nodes.length > 0 &&
    drawn.nodes.every(({ position }) => position !== null && position !== undefined);
  const places = usePlaces(isPlaced ? NOTHING : shape);
  const nodes = useMemo<CardNode[]>(
    () =>
      drawn.nodes.map(({ id, data, position }) => ({
        id,
        type: "card",
        position: (isPlaced ? position : places?.get(id)) ?? { x: 0, y: 0 },
        data,
        width: NODE_WIDTH,
        height: NODE_HEIGHT,
        selected: id === selected,
        ariaLabel: [data.name, data.status, data.detail].filter(Boolean).join(", "),
      })),
    [drawn.nodes, places, isPlaced, selected],
  );
  const detours = useMemo(
    () => detoursOf(shape.edges, new Map(nodes.map(({ id, position }) => [id, position]))),
    // eslint-disable-next-line react-hooks/exhaustive-deps -- states change all the time, the places do not
    [shape, places, isPlaced],
  );
  const edges = useMemo<Edge[]>(
    () =>
      drawn.edges.map((one, index) => {
        const detour = detours.get(index);
        return detour === undefined ? edge(one) : { ...edge(one), type: "around", data: { ...detour } };
      }),
    [drawn.edges, detours],
  );
  const isMoved = useRef(false);
  if (places === null) return <Loading what="Drawing the graph" />;
  return (
    <ReactFlow
      key={key.length}
      nodes={nodes}
      edges={edges}
      nodeTypes={kinds}
      edgeTypes={lineKinds}
      colorMode={scheme}
      onMove={(event) => {
        if (event !== null) isMoved.current = true;
      }}
      onNodeClick={(_event, node) => onSelect?.(node.id)}
      onPaneClick={() => onSelect?.(null)}
      onNodesChange={(changes) => {
        /* by keyboard: Enter on a node that has the focus */
        const chosen = changes.find((change) => change.type === "select" && change.selected);
        if (chosen?.type === "select" && chosen.id !== selected) onSelect?.(chosen.id);
      }}
      nodesDraggable={false}
      nodesConnectable={false}
      onlyRenderVisibleElements={drawn.nodes.length > 150}
      fitView
      fitViewOptions={FITTED}
      minZoom={0.05}
      maxZoom={1.6}
      aria-label={label}
    >
      <Background gap={22} />
      <Refit isMoved={isMoved} />
      <Controls showInteractive={false} />
      {drawn.nodes.length < MAP_FROM ? null : <GraphMap nodes={nodes} colour={colourOnMap} />}
    </ReactFlow>
  );
}

const FITTED = { maxZoom: 1, padding: 0.12 };

/** What had been fitted stays fitted when a panel opens beside it; where somebody has moved it, it stays where it is. */
function Refit({ isMoved }: { isMoved: React.RefObject<boolean> }) {
  const width = useStore((state) => state.width);
  const { fitView } = useReactFlow();
  const before = useRef(0);
  useEffect(() => {
    if (before.current > 0 && width > 0 && before.current !== width && !isMoved.current) void fitView(FITTED);
    before.current = width;
  }, [width, fitView, isMoved]);
  return null;
}

const NOTHING: Shape = { nodes: [], edges: [] };

function edge({ id, source, target, label, status, isFaint, isMarked }: Drawn["edges"][number]): Edge {
  const stroke =
    isMarked === true ? "var(--ff-waiting)" : status === undefined ? undefined : colourOf(status);
  return {
    id,
    source,
    target,
    ...(label === undefined
      ? {}
      : {
          label,
          labelShowBg: true,
          labelBgStyle: { fill: "var(--ff-page)" },
          labelStyle: { fill: "var(--mantine-color-text)", fontSize: 11 },
        }),
    animated: status === "running",
    focusable: false,
    style: {
      ...(stroke === undefined ? {} : { stroke }),
      strokeWidth: isMarked === true ? 2.5 : 1.5,
      ...(isFaint === true ? { opacity: 0.35, strokeDasharray: "5 5" } : {}),
    },
  };
}
