/* Everything about one node of a run, or one instance of it. */
import { ActionIcon, Button, Group, Stack, Text, Title, Tooltip } from "@mantine/core";
import { IconTable, IconX } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { api, type Schemas } from "../../api/client";
import { fieldsOf, numberOf, textOf, textsOf } from "../../api/narrow";
import { kindOf } from "../../graph/kinds";
import { Facts } from "../../ui/Facts";
import { Json } from "../../ui/Json";
import { Loading } from "../../ui/Said";
import { Status } from "../../ui/Status";
import { bytes, count, took } from "../../ui/times";
import { useNow, When } from "../../ui/When";
import { Body } from "./Body";
import { Fault } from "./Fault";
import { ByHand, Breakpoint, RetryFrom } from "./NodeDeeds";
import { NodeAttempts, NodeLines } from "./NodeTrace";
import { RunLink } from "./Header";
import type { Choice } from "./useChosen";
import { ENDED, type Run } from "./useRun";
import { layerWords, waitWords, whySkipped } from "./words";

type NodeRun = Schemas["NodeRun"];
const READ_EACH_MS = 1_000;

interface NodePanelProps {
  run: Run;
  at: number | null;
  shape: Schemas["GraphView"];
  node: Schemas["GraphNode"];
  instance: string | null;
  onChoose: (choice: Choice) => void;
}

export function NodePanel({ run, at, shape, node, instance, onChoose }: NodePanelProps) {
  const found = useNodeRun(run, node, instance, at);
  const body = shape.bodies[node.node_id];
  const KindSign = kindOf(node.type).icon;
  return (
    <Stack gap="sm" p="sm">
      <Group justify="space-between" wrap="nowrap" align="flex-start">
        <Group gap={8} wrap="nowrap" style={{ minWidth: 0 }}>
          <KindSign size={20} aria-hidden style={{ flexShrink: 0 }} />
          <div style={{ minWidth: 0 }}>
            <Title order={2} style={{ overflowWrap: "anywhere" }}>
              {node.name === "" ? node.node_id : node.name}
              {instance === null ? "" : ` #${instance}`}
            </Title>
            <Text size="xs" c="dimmed">
              {node.node_id} · {kindOf(node.type).label}
              {node.is_map ? ", for each item" : ""}
              {node.loop_id === null ? "" : `, in loop ${node.loop_id}`}
            </Text>
          </div>
        </Group>
        <Tooltip label="Close">
          <ActionIcon
            variant="subtle"
            color="gray"
            aria-label="Close the panel of the node"
            onClick={() => onChoose({ nodeId: null, instance: null, view: null })}
          >
            <IconX size={18} />
          </ActionIcon>
        </Tooltip>
      </Group>
      {found === null ? (
        <Loading />
      ) : (
        <>
          {at !== null && found !== run.node_runs?.find((one) => one.node_id === node.node_id) ? (
            <Text size="sm" style={{ color: "var(--ff-waiting)" }}>
              Instances are known as they are now; what you see here is not of the past.
            </Text>
          ) : null}
          <Standing run={run} node={found} />
          <Fault error={found.error} onNode={(nodeId) => onChoose({ nodeId, instance: null, view: null })} />
          {instance === null && (found.instances_count !== null || node.loop_id !== null) ? (
            <Button
              variant="default"
              leftSection={<IconTable size={16} />}
              onClick={() => onChoose({ view: "instances" })}
            >
              {found.instances_count === null
                ? "Its runs in all iterations"
                : `Its ${count(found.instances_count)} instances as a table`}
            </Button>
          ) : null}
          {at === null ? <NodeButtons run={run} node={found} instance={instance} /> : null}
          <Facts of={factsOf(found)} />
          {body === undefined ? null : <Body of={body} runId={run.run_id} label={node.node_id} />}
          <Values title="Input" value={found.input} />
          <Values title="Output" value={found.output} />
          <NodeAttempts run={run} nodeId={node.node_id} instance={instance} then={run.as_of?.at ?? null} />
          <NodeLines run={run} nodeId={node.node_id} instance={instance} then={run.as_of?.at ?? null} />
        </>
      )}
    </Stack>
  );
}

/** As it stands in the run that is shown; what lies in loops, and instances, are asked for by themselves. */
function useNodeRun(
  run: Run,
  node: Schemas["GraphNode"],
  instance: string | null,
  at: number | null,
): NodeRun | null {
  const own = run.node_runs?.find((one) => one.node_id === node.node_id);
  const isAsked = instance !== null || own === undefined;
  const query = api.useQuery(
    "get",
    "/api/runs/{run_id}/nodes/{node_id}",
    {
      params: {
        path: { run_id: run.run_id, node_id: node.node_id },
        query: { limit: 1, ...(instance === null ? {} : { instance }) },
      },
    },
    { enabled: isAsked, refetchInterval: ENDED.has(run.status) || at !== null ? false : READ_EACH_MS },
  );
  return isAsked ? (query.data ?? null) : own;
}

function Standing({ run, node }: { run: Run; node: NodeRun }) {
  const now = useNow(run.as_of === undefined);
  const then = run.as_of === undefined ? now : Date.parse(run.as_of.at);
  const hand = fieldsOf(node.by_hand);
  const wait = waitWords(node.waiting_for, then);
  return (
    <div data-testid="node-standing">
      <Group gap="sm">
        <Status
          status={node.status}
          detail={
            node.status === "running" && node.progress !== null
              ? `${Math.round(node.progress * 100)} %`
              : undefined
          }
        />
        {node.progress_message === null ? null : <Text size="sm">{node.progress_message}</Text>}
      </Group>
      {node.skip_reason === null ? null : <Text size="sm">Skipped: {whySkipped(node.skip_reason)}.</Text>}
      {wait === null ? null : <Text size="sm">It {wait}.</Text>}
      {node.by_hand === null ? null : (
        <Text size="sm">
          Decided by hand{textOf(hand["actor"]) === null ? "" : ` by ${textOf(hand["actor"]) ?? ""}`}
          {textOf(hand["comment"]) === null ? "" : `: ${textOf(hand["comment"]) ?? ""}`}
        </Text>
      )}
    </div>
  );
}

function NodeButtons({ run, node, instance }: { run: Run; node: NodeRun; instance: string | null }) {
  return (
    <Group gap="xs">
      <ByHand run={run} node={node} instance={instance ?? ""} />
      {instance === null ? <RetryFrom run={run} node={node} /> : null}
      {instance === null ? <Breakpoint run={run} nodeId={node.node_id} /> : null}
    </Group>
  );
}

function factsOf(node: NodeRun): [string, ReactNode][] {
  const usage = fieldsOf(node.usage);
  const cached = fieldsOf(node.cached_from);
  const from = textOf(cached["run_id"]);
  const memory = numberOf(usage["peak_memory_bytes"]);
  const layers = textsOf(node.isolation);
  const facts: [string, ReactNode, boolean][] = [
    [
      node.attempt > 1 ? "Queued last" : "Queued",
      <When key="q" at={node.queued_at} />,
      node.queued_at !== null,
    ],
    ["Began", <When key="s" at={node.started_at} />, node.started_at !== null],
    ["Ended", <When key="e" at={node.completed_at} />, node.completed_at !== null],
    ["Took", took(node.duration_ms), node.duration_ms !== null],
    ["Attempt", count(node.attempt), node.attempt > 1],
    ["Next attempt", <When key="r" at={node.retry_at} />, node.retry_at !== null],
    [
      "Child run",
      node.child_run_id === null ? null : <RunLink runId={node.child_run_id} />,
      node.child_run_id !== null,
    ],
    [
      "Output from",
      from === null ? null : (
        <>
          <RunLink runId={from} /> {textOf(cached["node_id"]) ?? ""}
        </>
      ),
      from !== null,
    ],
    ["Job type", node.job_type, node.job_type !== null],
    ["Queue", node.queue, node.job_type !== null && node.queue !== null],
    ["Worker", node.worker, node.worker !== null],
    [
      "Job",
      <code key="j" className="ff-mono">
        {node.job_id}
      </code>,
      node.job_id !== null,
    ],
    ["Processor", took(numberOf(usage["cpu_ms"])), numberOf(usage["cpu_ms"]) !== null],
    ["Memory, peak", memory === null ? null : bytes(memory), memory !== null],
    ["Kept apart by", layers.map(layerWords).join(", "), layers.length > 0],
    ["Needs", node.dependencies.join(", "), node.dependencies.length > 0],
  ];
  return facts.filter(([, , isThere]) => isThere).map(([name, value]) => [name, value]);
}

function Values({ title, value }: { title: string; value: unknown }) {
  if (value === null || value === undefined) return null;
  return (
    <section>
      <Title order={3} fz="sm" mb={4}>
        {title}
      </Title>
      <Json value={value} label={title.toLowerCase()} />
    </section>
  );
}
