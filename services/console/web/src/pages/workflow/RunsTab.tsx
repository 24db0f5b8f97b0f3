/* Its runs: the last ones as bars, what is active and by which trigger, then all. */
import { Anchor, Group, SegmentedControl, Stack, Text, Title } from "@mantine/core";
import { Link } from "react-router";
import { api, type Schemas } from "../../api/client";
import { byCursor, PAGE_SIZE } from "../../api/pages";
import { List, Rows, type Column } from "../../ui/List";
import { RunBars } from "../../ui/RunBars";
import { Empty, Shown } from "../../ui/Said";
import { Status } from "../../ui/Status";
import { count, took } from "../../ui/times";
import { useFilters } from "../../ui/useFilters";
import { When } from "../../ui/When";
import { byTrigger } from "./active";
import type { TabProps } from "./Workflow";

type Run = Schemas["Run"];
const BARS_COUNT = 40;
const STATES = ["running", "completed", "failed", "cancelled", "partial", "paused", "pending"] as const;

export function RunsTab({ workflow }: TabProps) {
  const [filter, setFilter] = useFilters();
  const status = STATES.find((one) => one === filter("status"));
  const runs = api.useInfiniteQuery(
    "get",
    "/api/runs",
    {
      params: {
        query: { workflow_id: workflow.id, limit: PAGE_SIZE, ...(status === undefined ? {} : { status }) },
      },
    },
    byCursor,
  );
  return (
    <Stack gap="md">
      <Bars workflowId={workflow.id} />
      <Active workflowId={workflow.id} />
      <section aria-labelledby="runs-heading">
        <Group justify="space-between" mb="xs">
          <Title order={2} id="runs-heading">
            Runs
          </Title>
          <Group gap="sm">
            <SegmentedControl
              aria-label="State of the runs"
              size="xs"
              value={status ?? ""}
              onChange={(next) => setFilter({ status: next })}
              data={[
                { value: "", label: "All" },
                { value: "running", label: "Running" },
                { value: "completed", label: "Completed" },
                { value: "failed", label: "Failed" },
                { value: "cancelled", label: "Cancelled" },
              ]}
              style={{ flexWrap: "wrap" }}
            />
            <Anchor component={Link} to={`/runs?workflow_id=${workflow.id}`} size="sm">
              More filters
            </Anchor>
          </Group>
        </Group>
        <List
          of={runs}
          label="Runs"
          columns={COLUMNS}
          row={(run) => ({
            key: run.run_id,
            "data-testid": `run-row-${run.run_id}`,
            "data-status": run.status,
          })}
          empty={
            <div className="ff-panel">
              <Empty title={status === undefined ? "It has not run yet" : `No run is ${status}`}>
                {status === undefined ? "“Run” above starts it by hand." : "Choose another state, or all."}
              </Empty>
            </div>
          }
        />
      </section>
    </Stack>
  );
}

const COLUMNS: Column<Run>[] = [
  { label: "Status", width: 120, cell: ({ status }) => <Status status={status} /> },
  {
    label: "Run",
    cell: ({ run_id }) => (
      <Anchor component={Link} to={`/runs/${run_id}`} className="ff-mono" size="sm">
        {run_id.slice(0, 8)}…{run_id.slice(-4)}
      </Anchor>
    ),
  },
  {
    label: "Version",
    isExtra: true,
    align: "right",
    width: 80,
    cell: ({ workflow_version }) => workflow_version,
  },
  { label: "Trigger", isExtra: true, cell: ({ trigger }) => `${trigger.id} (${trigger.type})` },
  { label: "Started", cell: (run) => <When at={run.started_at ?? run.created_at} relative /> },
  {
    label: "Took",
    align: "right",
    isExtra: true,
    cell: ({ duration_ms }) => <span className="ff-number">{took(duration_ms)}</span>,
  },
];

function Bars({ workflowId }: { workflowId: string }) {
  const last = api.useQuery("get", "/api/runs", {
    params: { query: { workflow_id: workflowId, limit: BARS_COUNT } },
  });
  const runs = last.data?.items ?? [];
  if (runs.length === 0) return null;
  return (
    <Group gap="sm" align="flex-end">
      <RunBars runs={[...runs].reverse()} />
      <Text size="xs" c="dimmed">
        the last {runs.length}, the newest on the right
      </Text>
    </Group>
  );
}

function Active({ workflowId }: { workflowId: string }) {
  const active = api.useQuery("get", "/api/workflows/{workflow_id}/active", {
    params: { path: { workflow_id: workflowId }, query: { limit: 1_000 } },
  });
  return (
    <Shown of={active}>
      {({ items, slots }) =>
        items.length === 0 ? null : (
          <section aria-labelledby="active-heading" data-testid="active-by-trigger">
            <Title order={2} id="active-heading" mb="xs">
              Active now, by trigger
            </Title>
            <div className="ff-panel ff-scroll">
              <Rows
                items={byTrigger(items)}
                label="Active runs by trigger"
                row={({ id }) => ({ key: id })}
                columns={[
                  {
                    label: "Trigger",
                    cell: ({ id, type }) => (
                      <Anchor component={Link} to={`/workflows/${workflowId}/triggers/${id}`} size="sm">
                        {id}
                        <Text span size="xs" c="dimmed">
                          {" "}
                          ({type})
                        </Text>
                      </Anchor>
                    ),
                  },
                  { label: "Running", align: "right", width: 90, cell: (one) => count(one.running) },
                  { label: "Queued", align: "right", width: 90, cell: (one) => count(one.pending) },
                  { label: "Paused", align: "right", width: 90, cell: (one) => count(one.paused) },
                  { label: "Oldest", isExtra: true, cell: (one) => <When at={one.oldest_at} relative /> },
                ]}
              />
            </div>
            <Slots of={slots} />
          </section>
        )
      }
    </Shown>
  );
}

function Slots({ of }: { of: Schemas["SlotUse"][] }) {
  if (of.length === 0) return null;
  return (
    <Text size="sm" mt="xs" component="div">
      Slots:{" "}
      {of
        .map(({ pool, key, limit, in_use, waiting }) => {
          const name = [pool === null ? null : `pool ${pool}`, key === "" ? null : `“${key}”`]
            .filter(Boolean)
            .join(" ");
          return `${name === "" ? "" : `${name}: `}${in_use} of ${limit} in use, ${waiting} wait`;
        })
        .join("; ")}
      .
    </Text>
  );
}
