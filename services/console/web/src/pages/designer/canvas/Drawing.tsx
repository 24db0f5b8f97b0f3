/* The canvas with what surrounds it: the way into bodies, where nodes stand, what is dropped. */
import { Anchor, Breadcrumbs, Button, Group, Text } from "@mantine/core";
import { useCallbackRef } from "@mantine/hooks";
import { useReactFlow } from "@xyflow/react";
import { useCallback, useDeferredValue, useEffect, useMemo, type DragEvent } from "react";
import type { Shape } from "../../../graph/layout";
import { usePlaces } from "../../../graph/place";
import { Empty, Loading } from "../../../ui/Said";
import { cycleSteps, faultyNodes, type Report } from "../check/findings";
import { DRAGGED } from "../Library";
import { added, settled } from "../model/adding";
import { textOf, type Graph, type Point } from "../model/definition";
import { connect, faultOfConnection, type Connection } from "../model/edges";
import { graphAt, linksOf } from "../model/graphs";
import { moveNodes, pointOf } from "../model/nodes";
import { useDesign } from "../useDesign";
import { Canvas } from "./Canvas";
import type { Standing } from "./drawn";
import { useShow } from "./useShow";

const NO_GRAPH: Graph = { nodes: [], edges: [] };
const NO_STANDINGS: ReadonlyMap<string, Standing> = new Map();
const NODE_HALF: Point = { x: 95, y: 29 };

interface DrawingProps {
  places: ReadonlyMap<string, Point> | null;
  report: Report | null;
  standings: ReadonlyMap<string, Standing>;
  onTemplate: (() => void) | null;
}

export function Drawing({ places, report, standings, onTemplate }: DrawingProps) {
  const { definition, scope, found, edit, open, selection, select } = useDesign();
  const graph = graphAt(definition, scope) ?? NO_GRAPH;
  const { nodes, edges } = graph;
  /** What is typed beside it is not held up by the drawing. */
  const drawn = useDeferredValue(
    useMemo(() => ({ graph: { nodes, edges }, places, scope }), [nodes, edges, places, scope]),
  );
  const links = useMemo(() => linksOf(drawn.graph), [drawn]);
  const faulty = useSame(useMemo(() => faultyNodes(found, report, scope), [found, report, scope]));
  const cycles = useSame(useMemo(() => cycleSteps(report), [report]));
  const flow = useReactFlow();
  const show = useShow();
  const isPlaced = drawn.places !== null;
  useEffect(() => {
    if (isPlaced) show();
  }, [show, drawn.scope, isPlaced]);
  const move = useCallback(
    (moved: ReadonlyMap<string, Point>) =>
      edit((before) => moveNodes(settled(before, scope, places ?? new Map()), scope, moved), "move"),
    [edit, scope, places],
  );
  const join = useCallback(
    (connection: Connection) => edit((before) => connect(before, scope, connection)),
    [edit, scope],
  );
  const isAllowed = useCallbackRef(
    (connection: Connection) => faultOfConnection(definition, scope, connection) === null,
  );
  const enter = useCallbackRef((id: string) => {
    if (graph.nodes.find((node) => node.id === id)?.type === "loop") open([...scope, id]);
  });
  const drop = (event: DragEvent) => {
    const type = event.dataTransfer.getData(DRAGGED);
    if (type === "") return;
    event.preventDefault();
    const at = flow.screenToFlowPosition({ x: event.clientX, y: event.clientY });
    const point = { x: Math.round(at.x - NODE_HALF.x), y: Math.round(at.y - NODE_HALF.y) };
    const got = added(definition, scope, type, places ?? new Map(), null, point);
    edit(() => got.definition, undefined, { nodes: [got.id], links: [] });
  };
  return (
    <>
      <Way />
      <div
        className="ff-designer-canvas"
        data-testid="canvas"
        role="application"
        aria-label="Canvas"
        onDragOver={(event) => {
          event.preventDefault();
          event.dataTransfer.dropEffect = "copy";
        }}
        onDrop={drop}
      >
        {graph.nodes.length > 0 ? null : <Hint onTemplate={scope.length === 0 ? onTemplate : null} />}
        {drawn.places === null ? (
          <Loading what="Drawing the graph" />
        ) : (
          <Canvas
            nodes={drawn.graph.nodes}
            links={links}
            places={drawn.places}
            faulty={faulty}
            cycles={cycles}
            standings={scope.length === 0 ? standings : NO_STANDINGS}
            selection={selection}
            onSelect={select}
            isAllowed={isAllowed}
            onMove={move}
            onConnect={join}
            onOpen={enter}
            label={`Graph of ${textOf(definition["name"]) || "the workflow"}`}
          />
        )}
      </div>
    </>
  );
}

/** The same set as long as it has the same in it. */
function useSame(set: ReadonlySet<string>): ReadonlySet<string> {
  const key = [...set].sort().join("\n");
  // eslint-disable-next-line react-hooks/exhaustive-deps -- the key is what counts
  return useMemo(() => set, [key]);
}

function Hint({ onTemplate }: { onTemplate: (() => void) | null }) {
  return (
    <div className="ff-designer-empty">
      <Empty
        title="Nothing is drawn yet"
        action={
          onTemplate === null ? undefined : (
            <Button variant="default" onClick={onTemplate}>
              Start from a template
            </Button>
          )
        }
      >
        Drag a node type here, or click one: each further one comes after the last. What is written as YAML is
        drawn too.
      </Empty>
    </div>
  );
}

/** From the workflow into the bodies of loops, and back. */
function Way() {
  const { definition, scope, open } = useDesign();
  if (scope.length === 0) return null;
  const names = [textOf(definition["name"]) || "Workflow", ...scope];
  return (
    <nav className="ff-designer-strip" aria-label="Bodies" data-testid="scope">
      <Breadcrumbs separator="›">
        {names.map((name, depth) =>
          depth === scope.length ? (
            <Text key={depth} size="sm" fw={600} aria-current="location">
              {name} (body)
            </Text>
          ) : (
            <Anchor
              key={depth}
              component="button"
              type="button"
              size="sm"
              onClick={() => open(scope.slice(0, depth))}
            >
              {name}
            </Anchor>
          ),
        )}
      </Breadcrumbs>
      <Group ml="auto">
        <Button
          variant="default"
          size="compact-xs"
          onClick={() => open(scope.slice(0, -1), { nodes: scope.slice(-1), links: [] })}
        >
          Close the body
        </Button>
      </Group>
    </nav>
  );
}

const NOTHING: Shape = { nodes: [], edges: [] };

/** Where the nodes stand: as the definition says, the rest as they are laid out; null while that is worked out. */
export function useDrawnPlaces(graph: Graph): ReadonlyMap<string, Point> | null {
  const isPlaced = graph.nodes.every((node) => pointOf(node["position"]) !== null);
  const links = useMemo(() => (isPlaced ? [] : linksOf(graph)), [graph, isPlaced]);
  const key = isPlaced
    ? ""
    : `${graph.nodes.map(({ id }) => id).join(" ")}|${links.map(({ source, target }) => `${source}>${target}`).join(" ")}`;
  const shape = useMemo<Shape>(
    () => (isPlaced ? NOTHING : { nodes: graph.nodes.map(({ id }) => ({ id })), edges: links }),
    // eslint-disable-next-line react-hooks/exhaustive-deps -- the shape changes less often than the graph
    [key],
  );
  const laidOut = usePlaces(shape);
  const [kept] = useMemo(() => [new Map<string, Point>()], []);
  return useMemo(() => {
    if (laidOut === null) return null;
    const places = graph.nodes.map((node): [string, Point] => {
      const point = pointOf(node["position"]) ?? laidOut.get(node.id) ?? { x: 0, y: 0 };
      const before = kept.get(node.id);
      return [node.id, before?.x === point.x && before.y === point.y ? before : { x: point.x, y: point.y }];
    });
    kept.clear();
    for (const [id, point] of places) kept.set(id, point);
    return new Map(places);
  }, [graph.nodes, laidOut, kept]);
}
