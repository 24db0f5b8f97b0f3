/* The graph, with the states of one of the last runs on it if wanted; what a node is made of beside it. */
import { ActionIcon, Anchor, Group, Select, Stack, Text, Title } from "@mantine/core";
import { IconX } from "@tabler/icons-react";
import { useMemo } from "react";
import { Link } from "react-router";
import { api, type Schemas } from "../../api/client";
import { textOf } from "../../api/narrow";
import { isObject } from "../../api/narrow";
import { toYaml, type Definition } from "../../definition/plain";
import { kindOf } from "../../graph/kinds";
import { drawnOf } from "../../graph/ofDefinition";
import { Sketch } from "../../graph/Sketch";
import { WorkflowGraph } from "../../graph/WorkflowGraph";
import { Shown } from "../../ui/Said";
import { Status } from "../../ui/Status";
import { local, took } from "../../ui/times";
import { useFilters } from "../../ui/useFilters";
import { drawnGraph } from "./drawn";
import type { TabProps } from "./Workflow";

const RUNS_COUNT = 20;
const NO_RUN = "none";

export function GraphTab({ workflow }: TabProps) {
  const [filter, setFilter] = useFilters();
  const runs = api.useQuery("get", "/api/runs", {
    params: { query: { workflow_id: workflow.id, limit: RUNS_COUNT } },
  });
  const chosen = filter("run");
  const run = api.useQuery(
    "get",
    "/api/runs/{run_id}",
    { params: { path: { run_id: chosen } } },
    { enabled: chosen !== "" },
  );
  const version = chosen === "" ? workflow.version : (run.data?.workflow_version ?? workflow.version);
  const graph = api.useQuery(
    "get",
    "/api/workflows/{workflow_id}/graph",
    { params: { path: { workflow_id: workflow.id }, query: { version } } },
    { staleTime: "static" },
  );
  const nodeRuns = chosen === "" ? null : (run.data?.node_runs ?? null);
  const drawn = useMemo(
    () => (graph.data === undefined ? null : drawnGraph(graph.data, nodeRuns)),
    [graph.data, nodeRuns],
  );
  const selected = filter("node");
  return (
    <Stack gap="xs" h="100%">
      <Group gap="sm">
        <Select
          aria-label="Which run's states are shown"
          data={[{ value: NO_RUN, label: "States of no run" }, ...(runs.data?.items ?? []).map(choice)]}
          value={chosen === "" ? NO_RUN : chosen}
          onChange={(value) => setFilter({ run: value === NO_RUN ? null : value })}
          allowDeselect={false}
          w={330}
          maw="100%"
          comboboxProps={{ width: 380, position: "bottom-start" }}
        />
        {run.data === undefined || chosen === "" ? null : (
          <Text size="sm" component="div">
            <Status status={run.data.status} detail={took(run.data.duration_ms)} />{" "}
            <Anchor component={Link} to={`/runs/${chosen}`} size="sm">
              Open the run
            </Anchor>
          </Text>
        )}
      </Group>
      <div className="ff-beside">
        <div className="ff-panel" style={{ flex: 1, minWidth: 0, minHeight: 380, overflow: "hidden" }}>
          <Shown of={graph}>
            {() =>
              drawn === null ? null : (
                <WorkflowGraph
                  drawn={drawn}
                  selected={selected === "" ? null : selected}
                  onSelect={(node) => setFilter({ node })}
                  label={`Graph of ${workflow.name}`}
                />
              )
            }
          </Shown>
        </div>
        {selected === "" ? null : (
          <NodePanel
            workflow={workflow}
            nodeId={selected}
            runId={chosen}
            onClose={() => setFilter({ node: null })}
          />
        )}
      </div>
    </Stack>
  );
}

function choice(run: Schemas["Run"]): { value: string; label: string } {
  return {
    value: run.run_id,
    label: `${run.status} · ${local(run.created_at)} · version ${run.workflow_version}`,
  };
}

/** As the newest version has it. */
function NodePanel({
  workflow,
  nodeId,
  runId,
  onClose,
}: TabProps & { nodeId: string; runId: string; onClose: () => void }) {
  const node = (workflow.nodes as unknown as Definition[]).find(({ id }) => id === nodeId);
  const kind = kindOf(textOf(node?.["type"]) ?? "");
  const body = node === undefined ? null : bodyOf(node);
  return (
    <aside className="ff-panel ff-side ff-scroll" aria-label={`Node ${nodeId}`} data-testid="node-panel">
      <Stack gap="xs">
        <Group justify="space-between" wrap="nowrap" align="flex-start">
          <Title order={2} style={{ overflowWrap: "anywhere" }}>
            {typeof node?.["name"] === "string" && node["name"] !== "" ? node["name"] : nodeId}
          </Title>
          <ActionIcon variant="subtle" color="gray" onClick={onClose} aria-label="Close">
            <IconX size={18} />
          </ActionIcon>
        </Group>
        {node === undefined ? (
          <Text size="sm" c="dimmed">
            The newest version has no node {nodeId}.
          </Text>
        ) : (
          <>
            <Text size="sm" c="dimmed">
              {kind.label}: {kind.does}.
            </Text>
            {body === null ? null : <Sketch drawn={drawnOf(body)} label="What it repeats" height={90} />}
            {runId === "" ? null : (
              <Anchor component={Link} to={`/runs/${runId}?node=${nodeId}`} size="sm">
                How it went in this run
              </Anchor>
            )}
            <pre className="ff-json ff-mono" tabIndex={0} aria-label="Definition of the node" role="region">
              {toYaml(node)}
            </pre>
          </>
        )}
      </Stack>
    </aside>
  );
}

function bodyOf(node: Definition): Definition | null {
  const body = node["body"] ?? (isObject(node["config"]) ? node["config"]["body"] : null);
  return isObject(body) ? body : null;
}
