/* The instances of a map, or the iterations of a loop, as a table: thousands, page by page. */
import { Group, Select, Text } from "@mantine/core";
import { useState } from "react";
import { api, type Schemas } from "../../api/client";
import { byCursor, PAGE_SIZE } from "../../api/pages";
import { errorOf } from "../../api/narrow";
import { Empty } from "../../ui/Said";
import { List, type Column } from "../../ui/List";
import { Status } from "../../ui/Status";
import { took } from "../../ui/times";
import { When } from "../../ui/When";
import type { Choice } from "./useChosen";
import { ENDED, type Run } from "./useRun";

type Instance = Schemas["NodeInstance"];
const STATUSES = ["queued", "running", "waiting", "completed", "failed", "cancelled", "skipped"] as const;
const READ_EACH_MS = 1_500;

interface InstancesProps {
  run: Run;
  nodeId: string;
  onChoose: (choice: Choice) => void;
  isPast: boolean;
}

export function Instances({ run, nodeId, onChoose, isPast }: InstancesProps) {
  const [status, setStatus] = useState<(typeof STATUSES)[number] | null>(null);
  const pages = api.useInfiniteQuery(
    "get",
    "/api/runs/{run_id}/nodes/{node_id}",
    {
      params: {
        path: { run_id: run.run_id, node_id: nodeId },
        query: { limit: PAGE_SIZE, ...(status === null ? {} : { status }) },
      },
    },
    {
      ...byCursor,
      getNextPageParam: (page: Schemas["NodeRunDetail"]) => page.instances.next_cursor ?? undefined,
      refetchInterval: ({ state }) =>
        ENDED.has(run.status) || (state.data?.pages.length ?? 0) > 3 ? false : READ_EACH_MS,
    },
  );
  const data = pages.data && { pages: pages.data.pages.map((page) => page.instances) };
  return (
    <>
      <Group gap="sm" mb="xs">
        <Select
          size="xs"
          w={180}
          label="Only those that are"
          placeholder="any state"
          clearable
          data={[...STATUSES]}
          value={status}
          onChange={(value) => setStatus(value)}
        />
        {isPast ? (
          <Text size="sm" style={{ color: "var(--ff-waiting)" }}>
            These are the instances as they are now; the past is known by their counts.
          </Text>
        ) : null}
      </Group>
      <List<Instance>
        of={{ ...pages, data }}
        columns={columns(nodeId, onChoose)}
        row={(one) => ({
          key: `${one.node_id} ${one.instance}`,
          "data-testid": `instance-${one.node_id}-${one.instance}`,
          "data-status": one.status,
        })}
        label={`instances of ${nodeId}`}
        empty={
          <Empty title={status === null ? "It has no instances yet" : `None of them is ${status}`}>
            They appear here as soon as they begin.
          </Empty>
        }
      />
    </>
  );
}

function columns(nodeId: string, onChoose: (choice: Choice) => void): Column<Instance>[] {
  return [
    {
      label: "Instance",
      cell: (one) => (
        <button
          type="button"
          className="ff-link ff-number"
          onClick={() => onChoose({ nodeId: one.node_id, instance: one.instance })}
        >
          {one.node_id === nodeId ? "" : `${one.node_id} `}#{one.instance}
        </button>
      ),
    },
    { label: "State", cell: (one) => <Status status={one.status} /> },
    { label: "Began", isExtra: true, cell: (one) => <When at={one.started_at} /> },
    {
      label: "Took",
      align: "right",
      cell: (one) => <span className="ff-number ff-whole">{took(one.duration_ms)}</span>,
    },
    { label: "What came of it", isExtra: true, cell: (one) => <Outcome of={one} /> },
  ];
}

const OUTCOME_MAX = 90;

function Outcome({ of }: { of: Instance }) {
  const error = errorOf(of.error);
  const text = error === null ? outputText(of.output) : error.message;
  return (
    <Text
      size="xs"
      className={error === null ? "ff-mono" : undefined}
      style={error === null ? undefined : { color: "var(--ff-failed)" }}
    >
      {text.length > OUTCOME_MAX ? `${text.slice(0, OUTCOME_MAX)}…` : text}
    </Text>
  );
}

function outputText(output: unknown): string {
  return output === null || output === undefined ? "" : JSON.stringify(output);
}
