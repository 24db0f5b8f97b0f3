/* All runs, the newest first, as they go. */
import { Anchor, Badge, Button, Checkbox, Group, Progress, Text } from "@mantine/core";
import { useMemo, useState } from "react";
import { Link, useSearchParams } from "react-router";
import { api } from "../../api/client";
import { paced, useLive } from "../../api/live";
import { fieldsOf, pairsOf, textOf } from "../../api/narrow";
import { byCursor, PAGE_SIZE } from "../../api/pages";
import { useMay } from "../../shell/session";
import { List, type Column } from "../../ui/List";
import { Page } from "../../ui/Page";
import { Empty } from "../../ui/Said";
import { Status } from "../../ui/Status";
import { took } from "../../ui/times";
import { When } from "../../ui/When";
import { Marks } from "../run/Header";
import { RunLink } from "../../ui/RunLink";
import { shortId } from "../../ui/shortId";
import { ENDED, type Run } from "../run/useRun";
import { Bulk } from "./Bulk";
import { Filters } from "./Filters";
import { ignoredOf, queryOf } from "./filters";

const TOLD = [
  "WorkflowTriggered",
  "RunQueued",
  "RunStarted",
  "RunPaused",
  "RunResumed",
  "RunRetried",
  "RunCompleted",
  "RunFailed",
  "RunCancelled",
  "RunPartiallyCompleted",
  "NodeCompleted",
];
const READ_EACH_MS = 600;

export default function Runs() {
  const [search, setSearch] = useSearchParams();
  const query = queryOf(search);
  const pages = api.useInfiniteQuery(
    "get",
    "/api/runs",
    { params: { query: { limit: PAGE_SIZE, ...query } } },
    { ...byCursor, placeholderData: (before) => before },
  );
  const { refetch } = pages;
  const read = useMemo(() => paced(() => refetch(), READ_EACH_MS), [refetch]);
  const wanted = query.workflow_id === undefined ? "" : `&workflow_id=${query.workflow_id}`;
  useLive(`/api/stream?types=${TOLD.join(",")}${wanted}`, read);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const mayOperate = useMay("operator");
  const ignored = ignoredOf(search);
  const change = (name: string, value: string | null) =>
    setSearch((before) => {
      if (value === null) before.delete(name);
      else before.set(name, value);
      return before;
    });
  const toggle = (runId: string) =>
    setChosen((before) => {
      const after = new Set(before);
      if (!after.delete(runId)) after.add(runId);
      return after;
    });
  const shown = pages.data?.pages.flatMap((page) => page.items) ?? [];
  const areAllChosen = shown.length > 0 && shown.every((run) => chosen.has(run.run_id));
  return (
    <Page
      title="Runs"
      actions={
        mayOperate && shown.length > 0 ? (
          <Button
            size="compact-sm"
            variant="default"
            className="ff-extra"
            onClick={() => setChosen(new Set(areAllChosen ? [] : shown.map((run) => run.run_id)))}
          >
            {areAllChosen ? "Choose none" : `Choose all ${shown.length} shown`}
          </Button>
        ) : undefined
      }
    >
      <Filters search={search} onChange={change} onClear={() => setSearch({})} />
      {ignored.length === 0 ? null : (
        <Text size="sm" role="status" mb="sm" style={{ color: "var(--ff-waiting)" }}>
          Left out, since it is no filter: <code className="ff-mono">{ignored.join(", ")}</code>
        </Text>
      )}
      <Bulk runIds={[...chosen]} onDone={() => setChosen(new Set())} />
      <List<Run>
        of={pages}
        columns={mayOperate ? [choice(chosen, toggle), ...COLUMNS] : COLUMNS}
        row={(run) => ({
          key: run.run_id,
          "data-testid": `run-row-${run.run_id}`,
          "data-status": run.status,
          "data-selected": String(chosen.has(run.run_id)),
        })}
        label="runs"
        empty={<Nothing isFiltered={search.size > 0} onClear={() => setSearch({})} />}
      />
    </Page>
  );
}

function Nothing({ isFiltered, onClear }: { isFiltered: boolean; onClear: () => void }) {
  if (isFiltered)
    return (
      <Empty
        title="No run is like that"
        action={
          <Button variant="default" onClick={onClear}>
            Show all runs
          </Button>
        }
      >
        Other filters may show what you look for.
      </Empty>
    );
  return (
    <Empty
      title="Nothing has run yet"
      action={
        <Button component={Link} to="/workflows">
          To the workflows
        </Button>
      }
    >
      Open a workflow and run it by hand, or let a trigger do it. Runs appear here as they begin.
    </Empty>
  );
}

function choice(chosen: ReadonlySet<string>, toggle: (runId: string) => void): Column<Run> {
  return {
    label: "✓",
    width: 36,
    isExtra: true,
    cell: (run) => (
      <Checkbox
        size="xs"
        checked={chosen.has(run.run_id)}
        onChange={() => toggle(run.run_id)}
        aria-label={`Choose run ${shortId(run.run_id)}`}
      />
    ),
  };
}

const COLUMNS: Column<Run>[] = [
  { label: "State", width: 120, cell: (run) => <Status status={run.status} /> },
  {
    label: "Run",
    cell: (run) => (
      <>
        <Group gap={6} wrap="nowrap" className="ff-wraps-narrow">
          <RunLink runId={run.run_id} />
          <Marks run={run} />
        </Group>
        <Text size="xs" c="dimmed" className="ff-only-narrow">
          <When at={run.created_at} relative />
        </Text>
      </>
    ),
  },
  {
    label: "Workflow",
    cell: (run) => (
      <div style={{ minWidth: 0 }}>
        <div style={{ overflowWrap: "anywhere" }}>
          <Anchor component={Link} to={`/workflows/${run.workflow_id}`} size="sm">
            {run.workflow_id}
          </Anchor>{" "}
          <Text span size="xs" c="dimmed">
            v{run.workflow_version}
          </Text>
        </div>
        <Why run={run} />
        <Labels run={run} />
      </div>
    ),
  },
  { label: "Started by", isExtra: true, cell: (run) => <Trigger run={run} /> },
  { label: "Created", isExtra: true, cell: (run) => <When at={run.created_at} relative /> },
  {
    label: "Took",
    isExtra: true,
    align: "right",
    cell: (run) => <span className="ff-number">{took(run.duration_ms)}</span>,
  },
  { label: "Progress", isExtra: true, width: 150, cell: (run) => <HowFar run={run} /> },
];

/** What went wrong, in a line: the whole of it stands on the run's page. */
function Why({ run }: { run: Run }) {
  const message = textOf(fieldsOf(run.error)["message"]);
  if (message === null) return null;
  return (
    <Text size="xs" lineClamp={1} maw={420} title={message} style={{ color: "var(--ff-failed)" }}>
      {message}
    </Text>
  );
}

function Labels({ run }: { run: Run }) {
  const labels = pairsOf(run.labels);
  if (labels.length === 0) return null;
  return (
    <Group gap={4}>
      {labels.map(([name, value]) => (
        <Badge
          key={name}
          component={Link}
          to={`/runs?label=${encodeURIComponent(`${name}=${value}`)}`}
          variant="outline"
          size="sm"
          tt="none"
          style={{ color: "var(--mantine-color-dimmed)", borderColor: "var(--ff-line)", cursor: "pointer" }}
        >
          {name}={value}
        </Badge>
      ))}
    </Group>
  );
}

function Trigger({ run: { trigger } }: { run: Run }) {
  if (trigger.type === "fork") return <>fork</>;
  return (
    <>
      {trigger.id}
      {trigger.id === trigger.type ? null : (
        <Text span size="xs" c="dimmed">
          {" "}
          {trigger.type}
        </Text>
      )}
    </>
  );
}

function HowFar({ run }: { run: Run }) {
  const { completed_nodes: done, total_nodes: all, percent, current_step: step } = run.progress;
  if (ENDED.has(run.status))
    return (
      <span className="ff-number">
        {done} of {all} {all === 1 ? "node" : "nodes"}
      </span>
    );
  return (
    <>
      <Progress value={percent} size="xs" aria-label={`Progress: ${percent} %`} />
      <Text size="xs" c="dimmed" truncate>
        {percent} %{step === null ? "" : ` · ${step}`}
        {run.estimated_time_remaining_ms === null ? "" : ` · ${took(run.estimated_time_remaining_ms)} left`}
      </Text>
    </>
  );
}
