/* The run as a graph, and beside it the node that is chosen. */
import { Button, Group, Switch } from "@mantine/core";
import { IconArrowLeft } from "@tabler/icons-react";
import { useMemo, useState } from "react";
import { api, type Schemas } from "../../api/client";
import { WorkflowGraph, type Drawn } from "../../graph/WorkflowGraph";
import { breakpointsOf, drawRun } from "./drawn";
import { Instances } from "./Instances";
import { NodePanel } from "./NodePanel";
import type { Chosen } from "./useChosen";
import { ENDED, type Run } from "./useRun";

interface GraphTabProps {
  run: Run;
  /** Null where the run is shown as it is now. */
  at: number | null;
  shape: Schemas["GraphView"];
  chosen: Chosen;
}

export function GraphTab({ run, at, shape, chosen }: GraphTabProps) {
  const [isCriticalShown, setCriticalShown] = useState(false);
  const metrics = api.useQuery(
    "get",
    "/api/runs/{run_id}/metrics",
    { params: { path: { run_id: run.run_id } } },
    { enabled: isCriticalShown },
  );
  const critical = useMemo(
    () => (isCriticalShown ? (metrics.data?.critical_path ?? []) : []),
    [isCriticalShown, metrics.data],
  );
  const drawn = useDrawn(shape, run, critical);
  const { nodeId, instance, view, choose } = chosen;
  const node = nodeId === null ? undefined : findNode(shape, nodeId);
  const isTable = view === "instances" && node !== undefined;
  return (
    <div className="ff-run-beside">
      <div className="ff-panel" style={{ display: "flex", flexDirection: "column", overflow: "hidden" }}>
        {isTable ? (
          <>
            <Group p="xs" gap="xs">
              <Button
                size="compact-sm"
                variant="default"
                leftSection={<IconArrowLeft size={15} />}
                onClick={() => choose({ view: null, instance: null })}
              >
                Back to the graph
              </Button>
            </Group>
            <div className="ff-scroll" style={{ flex: 1, minHeight: 0, padding: "0 8px 8px" }}>
              <Instances run={run} nodeId={node.node_id} onChoose={choose} isPast={at !== null} />
            </div>
          </>
        ) : (
          <>
            <div style={{ flex: 1, minHeight: 0 }}>
              <WorkflowGraph
                drawn={drawn}
                selected={nodeId}
                onSelect={(id) => choose({ nodeId: id, instance: null, view: null })}
                label={`Graph of run ${run.run_id}`}
              />
            </div>
            {ENDED.has(run.status) && shape.nodes.length > 1 ? (
              <Switch
                size="xs"
                p={6}
                label="Critical path: the nodes that decided how long it took"
                checked={isCriticalShown}
                onChange={(event) => setCriticalShown(event.currentTarget.checked)}
              />
            ) : null}
          </>
        )}
      </div>
      {node === undefined ? null : (
        <aside className="ff-panel ff-aside" aria-label={`Node ${node.node_id}`} data-testid="node-panel">
          <NodePanel
            key={`${node.node_id} ${instance ?? ""}`}
            run={run}
            at={at}
            shape={shape}
            node={node}
            instance={instance}
            onChoose={choose}
          />
        </aside>
      )}
    </div>
  );
}

/** Drawn anew with each change; nodes of which nothing changed stay what they were, and are not rendered again. */
function useDrawn(shape: Schemas["GraphView"], run: Run, critical: readonly string[]): Drawn {
  const breakpoints = breakpointsOf(run).join(" ");
  const nodeRuns = run.node_runs;
  const [kept, keep] = useState<{ of: readonly unknown[]; drawn: Drawn } | null>(null);
  const of = [shape, nodeRuns, breakpoints, critical] as const;
  if (kept !== null && of.every((one, index) => one === kept.of[index])) return kept.drawn;
  const marks = { breakpoints: breakpoints.split(" "), critical };
  const isSameShape = kept?.of[0] === shape;
  const drawn = drawRun(shape, nodeRuns ?? [], marks, isSameShape ? kept.drawn : undefined);
  keep({ of, drawn });
  return drawn;
}

/** A node of the workflow's own graph, or of the body of one of its loops. */
function findNode(shape: Schemas["GraphView"], nodeId: string): Schemas["GraphNode"] | undefined {
  const all = [shape.nodes, ...Object.values(shape.bodies).map((body) => body.nodes)];
  return all.flat().find((node) => node.node_id === nodeId);
}
