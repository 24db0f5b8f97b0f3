/* Where the graph is drawn: nodes are moved, connected, selected; what changes is told, never kept here. */
import "../../../graph/graph.css";
import {
  applyNodeChanges,
  Background,
  Controls,
  ReactFlow,
  SelectionMode,
  type Edge,
  type EdgeChange,
  type NodeChange,
} from "@xyflow/react";
import { useComputedColorScheme } from "@mantine/core";
import { memo, useCallback, useMemo, useState } from "react";
import { colourOf } from "../../../ui/Status";
import { GraphMap } from "../../../graph/GraphMap";
import { lineKinds } from "../../../graph/lines";
import { NodeCard, type CardNode } from "../../../graph/NodeCard";
import type { NodeDef, Point } from "../model/definition";
import type { Selection } from "../model/design";
import type { Connection } from "../model/edges";
import type { Link } from "../model/graphs";
import { keptCards, keptLines, type Standing } from "./drawn";

interface CanvasProps {
  nodes: readonly NodeDef[];
  links: readonly Link[];
  places: ReadonlyMap<string, Point>;
  faulty: ReadonlySet<string>;
  cycles: ReadonlySet<string>;
  standings: ReadonlyMap<string, Standing>;
  selection: Selection;
  onSelect: (change: (before: Selection) => Selection) => void;
  isAllowed: (connection: Connection) => boolean;
  onMove: (places: ReadonlyMap<string, Point>) => void;
  onConnect: (connection: Connection) => void;
  onOpen: (nodeId: string) => void;
  label: string;
}

const kinds = { card: NodeCard };
function colourOnMap({ mark, status }: CardNode["data"]): string {
  return colourOf(mark === "fault" ? "failed" : (status ?? "idle"));
}

const MAP_FROM = 25;
const ALL_DRAWN_MAX = 150;
const NO_PLACE: Point = { x: 0, y: 0 };

/** It is drawn anew only when what it shows has changed. */
export const Canvas = memo(function Canvas(props: CanvasProps) {
  const { links, onSelect: select, isAllowed, onMove, onConnect, onOpen, label } = props;
  const scheme = useComputedColorScheme("light");
  const [nodes, setNodes] = useShownNodes(props);
  const edges = useEdges(props);

  const changeNodes = useCallback(
    (changes: NodeChange<CardNode>[]) => {
      const moves = changes.filter((change) => change.type === "position");
      if (moves.length > 0) setNodes((shown) => applyNodeChanges(moves, shown));
      select((before) => withList(before, "nodes", selectedBy(changes, before.nodes)));
      const settled = moves.filter(({ dragging, position }) => dragging !== true && position !== undefined);
      if (settled.length > 0) onMove(new Map(settled.map(({ id, position }) => [id, position ?? NO_PLACE])));
    },
    [select, setNodes, onMove],
  );
  const changeEdges = useCallback(
    (changes: EdgeChange[]) =>
      select((before) => withList(before, "links", selectedBy(changes, before.links))),
    [select],
  );
  return (
    <ReactFlow
      nodes={nodes}
      edges={edges}
      nodeTypes={kinds}
      edgeTypes={lineKinds}
      colorMode={scheme}
      onNodesChange={changeNodes}
      onEdgesChange={changeEdges}
      onConnect={onConnect}
      isValidConnection={(connection) => isAllowed(asConnection(connection))}
      onNodeDoubleClick={(_event, node) => onOpen(node.id)}
      deleteKeyCode={null}
      selectionMode={SelectionMode.Partial}
      multiSelectionKeyCode={["Control", "Meta"]}
      connectionRadius={28}
      snapToGrid
      snapGrid={[10, 10]}
      onlyRenderVisibleElements={links.length > ALL_DRAWN_MAX || nodes.length > ALL_DRAWN_MAX}
      fitViewOptions={{ maxZoom: 1, padding: 0.15 }}
      minZoom={0.05}
      maxZoom={1.6}
      zoomOnDoubleClick={false}
      aria-label={label}
    >
      <Background gap={20} />
      <Controls showInteractive={false} />
      {nodes.length < MAP_FROM ? null : <GraphMap nodes={nodes} colour={colourOnMap} />}
    </ReactFlow>
  );
});

function asConnection({ source, target, sourceHandle, targetHandle }: Edge | Connection): Connection {
  return { source, target, sourceHandle: sourceHandle ?? null, targetHandle: targetHandle ?? null };
}

function withList(before: Selection, list: keyof Selection, ids: readonly string[]): Selection {
  return ids === before[list] ? before : { ...before, [list]: ids };
}

/** The ids that are selected after the changes; the same list where none is about that. */
function selectedBy(
  changes: readonly { type: string; id?: string; selected?: boolean }[],
  before: readonly string[],
): readonly string[] {
  const selections = changes.filter(({ type }) => type === "select");
  if (selections.length === 0) return before;
  const selected = new Set(before);
  for (const { id = "", selected: isSelected } of selections) {
    if (isSelected === true) selected.add(id);
    else selected.delete(id);
  }
  const isSame = selected.size === before.length && before.every((id) => selected.has(id));
  return isSame ? before : [...selected];
}

/** As the definition has them, and while they are dragged as the pointer has them. */
function useShownNodes({ nodes, places, faulty, standings, selection }: CanvasProps) {
  const [cards] = useState(keptCards);
  const built = useMemo(
    () => cards(nodes, places, faulty, new Set(selection.nodes), standings),
    [cards, nodes, places, faulty, standings, selection.nodes],
  );
  const [shown, setShown] = useState(built);
  const [last, setLast] = useState(built);
  if (built !== last) {
    setLast(built);
    setShown(built);
  }
  return [built === last ? shown : built, setShown] as const;
}

function useEdges({ links, places, cycles, standings, selection }: CanvasProps): Edge[] {
  const [lines] = useState(keptLines);
  return useMemo(
    () => lines(links, places, new Set(selection.links), cycles, standings),
    [lines, links, places, cycles, standings, selection.links],
  );
}
