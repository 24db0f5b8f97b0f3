/* The graph of a run at a moment: its workflow's shape, with how each node stands in the run. */
import type { Schemas } from "../../api/client";
import { countsOf, textOf, fieldsOf, textsOf } from "../../api/narrow";
import type { CardData } from "../../graph/NodeCard";
import type { Drawn } from "../../graph/WorkflowGraph";
import { awaited } from "./words";

export type NodeRun = Schemas["NodeRun"];
type Shape = Pick<Schemas["GraphView"], "nodes" | "edges">;

interface Marks {
  /** Nodes before which the run halts. */
  breakpoints: readonly string[];
  /** Nodes that decided how long the run took; none where that is not asked for. */
  critical: readonly string[];
}

export function drawRun(
  shape: Shape,
  nodeRuns: readonly NodeRun[],
  marks: Marks = { breakpoints: [], critical: [] },
  before?: Drawn,
): Drawn {
  const runs = new Map(nodeRuns.map((run) => [run.node_id, run]));
  const drawnBefore = new Map(before?.nodes.map((node) => [node.id, node]));
  const breakpoints = new Set(marks.breakpoints);
  const critical = new Set(marks.critical);
  const nodes = shape.nodes.map((node) => {
    const run = runs.get(node.node_id);
    const data: CardData = {
      type: node.type,
      name: node.name === "" ? node.node_id : node.name,
      status: run?.status ?? "idle",
      detail: run === undefined ? undefined : detailOf(run),
      progress: run?.progress == null ? null : run.progress * 100,
      instances: instancesOf(run),
      isMap: node.is_map,
      mark: breakpoints.has(node.node_id)
        ? "breakpoint"
        : critical.has(node.node_id)
          ? "critical"
          : undefined,
      isFaint: run?.status === "skipped",
    };
    const drawn = drawnBefore.get(node.node_id);
    if (drawn !== undefined && isSame(drawn.data, data)) return drawn;
    return { id: node.node_id, data, position: placeOf(node.position) };
  });
  return { nodes, edges: shape.edges.map((edge) => drawEdge(edge, runs, critical)) };
}

function drawEdge(
  edge: Schemas["Edge"],
  runs: Map<string, NodeRun>,
  critical: Set<string>,
): Drawn["edges"][number] {
  const { source_node_id: source, target_node_id: target } = edge;
  const label = edge.condition ?? (edge.dependency == null ? undefined : DEPENDENCIES[edge.dependency]);
  const from = runs.get(source);
  const to = runs.get(target);
  const isPast = from?.status === "completed" || from?.status === "failed";
  return {
    id: edge.id ?? `${source}>${target}:${edge.source_output ?? ""}:${edge.target_input ?? ""}`,
    source,
    target,
    ...(label === undefined || label === "" ? {} : { label }),
    ...(isPast && to !== undefined && UNDER_WAY.has(to.status) ? { status: to.status } : {}),
    isFaint: to?.status === "skipped" || from?.status === "skipped",
    isMarked: critical.has(source) && critical.has(target),
  };
}

const UNDER_WAY = new Set(["queued", "running", "waiting", "completed", "failed", "cancelled"]);
const DEPENDENCIES: Record<string, string> = { on_failure: "on failure", on_completion: "on completion" };

/** The few words that stand beside a node's state. */
export function detailOf(run: NodeRun): string | undefined {
  if (run.status === "running" && run.progress != null && run.progress > 0)
    return `${Math.round(run.progress * 100)} %`;
  if (run.status === "waiting" || run.status === "queued") {
    const what = awaited(run.waiting_for);
    if (what !== null) return `for ${what}`;
  }
  if (run.cached_from != null) return "used again";
  if (run.by_hand != null) return "by hand";
  if (run.attempt > 1) return `attempt ${run.attempt}`;
  return undefined;
}

/** How many instances stand how; those that have not begun are idle. */
export function instancesOf(
  run: Pick<NodeRun, "instances_count" | "instance_counts"> | undefined,
): Record<string, number> | undefined {
  const counts = countsOf(run?.instance_counts);
  const all = run?.instances_count ?? null;
  if (counts === undefined && all === null) return undefined;
  const begun = Object.values(counts ?? {}).reduce((sum, one) => sum + one, 0);
  const idle = (all ?? begun) - begun;
  return { ...counts, ...(idle > 0 ? { idle } : {}) };
}

function placeOf(position: unknown): { x: number; y: number } | null {
  const { x, y } = fieldsOf(position);
  return typeof x === "number" && typeof y === "number" ? { x, y } : null;
}

function isSame(one: CardData, other: CardData): boolean {
  return Object.keys(other).every((name) =>
    name === "instances"
      ? JSON.stringify(one[name]) === JSON.stringify(other[name])
      : Object.is(one[name], other[name]),
  );
}

/** What the run's nodes wait for, the longest wait first. */
export function waitsOf(nodeRuns: readonly NodeRun[]): NodeRun[] {
  const since = (run: NodeRun) => textOf(fieldsOf(run.waiting_for)["since"]) ?? "";
  return nodeRuns
    .filter((run) => (run.status === "waiting" || run.status === "queued") && run.waiting_for != null)
    .sort((one, other) => since(one).localeCompare(since(other)));
}

export function breakpointsOf(run: Schemas["Run"]): string[] {
  return textsOf(run.breakpoints);
}
