/* All workflows: found by name, tag and state; how they did lately, and what comes next. */
import { ActionIcon, Anchor, Badge, Button, Group, Select, Stack, Text, Tooltip } from "@mantine/core";
import { IconPlayerPlay, IconPlus, IconUpload, IconX } from "@tabler/icons-react";
import { useMemo, useState } from "react";
import { Link } from "react-router";
import { api, type Schemas } from "../../api/client";
import { paced, useLive } from "../../api/live";
import { byCursor, PAGE_SIZE } from "../../api/pages";
import { EnabledSwitch } from "../../definition/EnabledSwitch";
import type { WorkflowStatus } from "../../definition/useStatus";
import { RunDialog } from "../../run-dialog/RunDialog";
import { useMay } from "../../shell/session";
import { percent } from "../../ui/hours";
import { List, type Column } from "../../ui/List";
import { Page } from "../../ui/Page";
import { RunBars } from "../../ui/RunBars";
import { FilterText } from "../../ui/FilterText";
import { Empty } from "../../ui/Said";
import { Status } from "../../ui/Status";
import { count } from "../../ui/times";
import { useFilters } from "../../ui/useFilters";
import { When } from "../../ui/When";
import { ImportDialog } from "./ImportDialog";

type Activity = Schemas["WorkflowActivity"];

const REFRESH_MS = 1_000;
const LIVE =
  "/api/stream?types=RunStarted,RunCompleted,RunPartiallyCompleted,RunFailed,RunCancelled,WorkflowCreated,WorkflowUpdated,WorkflowArchived";

export default function Workflows() {
  const [filter, setFilter] = useFilters();
  const mayEdit = useMay("editor");
  const [asked, setAsked] = useState<string | null>(null);
  const workflows = useWorkflows(filter);
  const { refetch } = workflows;
  const refresh = useMemo(() => paced(() => refetch(), REFRESH_MS), [refetch]);
  useLive(LIVE, refresh, refresh);
  return (
    <Page
      title="Workflows"
      actions={
        mayEdit ? (
          <>
            <Button
              variant="default"
              leftSection={<IconUpload size={16} aria-hidden />}
              onClick={() => setFilter({ import: "yaml" })}
            >
              Import
            </Button>
            <Button component={Link} to="/workflows/new" leftSection={<IconPlus size={16} aria-hidden />}>
              New workflow
            </Button>
          </>
        ) : null
      }
    >
      <Stack gap="sm">
        <Filters filter={filter} onChange={setFilter} />
        <List
          of={workflows}
          label="Workflows"
          columns={columns(setAsked, (tag) => setFilter({ tag }))}
          row={({ workflow_id, status }) => ({
            key: workflow_id,
            "data-testid": `workflow-row-${workflow_id}`,
            "data-status": status,
          })}
          empty={<Nothing isFiltered={isFiltered(filter)} onClear={() => setFilter(NO_FILTER)} />}
        />
      </Stack>
      {asked === null ? null : <RunDialog opened onClose={() => setAsked(null)} workflowId={asked} />}
      <ImportDialog opened={filter("import") !== ""} onClose={() => setFilter({ import: null })} />
    </Page>
  );
}

const NO_FILTER = { search: null, tag: null, status: null, experiment_id: null };

type Filter = (name: string) => string;
type Change = (changed: Record<string, string | null>) => void;

function isFiltered(filter: Filter): boolean {
  return Object.keys(NO_FILTER).some((name) => filter(name) !== "");
}

const STATES = ["active", "draft", "archived"];

function useWorkflows(filter: Filter) {
  const [search, status, tag, experiment] = ["search", "status", "tag", "experiment_id"].map(filter) as [
    string,
    string,
    string,
    string,
  ];
  const query = {
    limit: PAGE_SIZE,
    archived: status === "all",
    ...(search === "" ? {} : { search }),
    ...(tag === "" ? {} : { tag }),
    ...(experiment === "" ? {} : { experiment_id: experiment }),
    ...(STATES.includes(status) ? { status: status as WorkflowStatus } : {}),
  };
  return api.useInfiniteQuery(
    "get",
    "/api/workflow-activity",
    { params: { query } },
    {
      ...byCursor,
      placeholderData: (before) => before,
    },
  );
}

function Filters({ filter, onChange }: { filter: Filter; onChange: Change }) {
  return (
    <Group gap="sm" role="search" aria-label="Workflows">
      <FilterText
        label="Search workflows"
        placeholder="Search by name or id"
        value={filter("search")}
        onChange={(search) => onChange({ search })}
        isSearch
        width={280}
      />
      <Select
        aria-label="State"
        data={[
          { value: "", label: "All but archived" },
          { value: "active", label: "Enabled" },
          { value: "draft", label: "Not enabled (drafts)" },
          { value: "archived", label: "Archived" },
          { value: "all", label: "All, archived too" },
        ]}
        value={filter("status")}
        onChange={(status) => onChange({ status })}
        allowDeselect={false}
        w={190}
      />
      <Chosen name="tag" label="Tag" filter={filter} onChange={onChange} />
      <Chosen name="experiment_id" label="Experiment" filter={filter} onChange={onChange} />
    </Group>
  );
}

function Chosen({
  name,
  label,
  filter,
  onChange,
}: {
  name: string;
  label: string;
  filter: Filter;
  onChange: Change;
}) {
  const value = filter(name);
  if (value === "") return null;
  return (
    <Button
      variant="default"
      size="xs"
      onClick={() => onChange({ [name]: null })}
      aria-label={`${label} ${value}: take this filter away`}
      rightSection={<IconX size={14} aria-hidden />}
    >
      {label}: {value}
    </Button>
  );
}

function columns(onRun: (id: string) => void, onTag: (tag: string) => void): Column<Activity>[] {
  return [
    { label: "Workflow", cell: (one) => <Name of={one} onTag={onTag} /> },
    { label: "Last runs", isExtra: true, width: 210, cell: (one) => <LastRuns of={one} /> },
    {
      label: "Success, 7 days",
      isExtra: true,
      align: "right",
      width: 130,
      cell: ({ counts }) => (
        <Tooltip
          label={`${count(counts.completed)} completed, ${count(counts.failed)} failed, ${count(counts.partial)} partial`}
        >
          <span className="ff-number">{percent(counts.success_rate)}</span>
        </Tooltip>
      ),
    },
    { label: "Next", isExtra: true, width: 130, cell: (one) => <Next of={one} /> },
    {
      label: "Enabled",
      width: 80,
      cell: ({ workflow_id, name, status }) => (
        <EnabledSwitch workflowId={workflow_id} name={name} status={status as WorkflowStatus} />
      ),
    },
    { label: "Run", width: 56, cell: (one) => <RunButton of={one} onRun={onRun} /> },
  ];
}

function Name({ of, onTag }: { of: Activity; onTag: (tag: string) => void }) {
  return (
    <Stack gap={1}>
      <Group gap="xs">
        <Anchor component={Link} to={`/workflows/${of.workflow_id}`} fw={550} size="sm">
          {of.name}
        </Anchor>
        {of.status === "archived" ? <Status status="archived" /> : null}
        {of.tags.map((tag) => (
          <Badge
            key={tag}
            component="button"
            variant="default"
            size="sm"
            tt="none"
            fw={500}
            style={{ cursor: "pointer" }}
            onClick={() => onTag(tag)}
            aria-label={`Only with the tag ${tag}`}
          >
            {tag}
          </Badge>
        ))}
      </Group>
      <Text size="xs" c="dimmed" lineClamp={1}>
        {of.workflow_id}
        {of.description === "" ? "" : ` · ${of.description}`}
      </Text>
    </Stack>
  );
}

function LastRuns({ of }: { of: Activity }) {
  if (of.last_runs.length === 0)
    return (
      <Text size="xs" c="dimmed">
        never ran
      </Text>
    );
  return (
    <Group gap={8} wrap="nowrap">
      <RunBars runs={of.last_runs} />
      {of.active_runs === 0 ? null : (
        <Anchor
          component={Link}
          to={`/workflows/${of.workflow_id}/runs`}
          size="xs"
          className="ff-number"
          style={{ whiteSpace: "nowrap" }}
          aria-label={`${of.active_runs} active runs of ${of.name}`}
        >
          {count(of.active_runs)} active
        </Anchor>
      )}
    </Group>
  );
}

function Next({ of }: { of: Activity }) {
  if (of.next_firing !== null)
    return (
      <Anchor
        component={Link}
        to={`/workflows/${of.workflow_id}/triggers/${of.next_firing.trigger_id}`}
        size="sm"
      >
        <When at={of.next_firing.due_at} relative />
      </Anchor>
    );
  return (
    <Text size="xs" c="dimmed">
      {of.triggers_enabled_count === 0 ? "by hand" : "when it fires"}
    </Text>
  );
}

function RunButton({ of, onRun }: { of: Activity; onRun: (id: string) => void }) {
  const mayRun = useMay("operator");
  if (!mayRun) return null;
  return (
    <Tooltip label="Run">
      <ActionIcon
        variant="subtle"
        onClick={() => onRun(of.workflow_id)}
        aria-label={`Run ${of.name}`}
        data-testid={`run-${of.workflow_id}`}
      >
        <IconPlayerPlay size={17} />
      </ActionIcon>
    </Tooltip>
  );
}

function Nothing({ isFiltered: isSome, onClear }: { isFiltered: boolean; onClear: () => void }) {
  if (isSome)
    return (
      <Empty
        title="No workflow fits these filters"
        action={
          <Button variant="default" onClick={onClear}>
            Clear the filters
          </Button>
        }
      />
    );
  return (
    <Empty
      title="No workflow yet"
      action={
        <Group>
          <Button component={Link} to="/templates">
            Start from a template
          </Button>
          <Button component={Link} to="/workflows/new" variant="default">
            Draw one
          </Button>
        </Group>
      }
    >
      A template runs in two clicks. Or draw one, import its YAML, or use{" "}
      <code className="ff-mono">flowforge apply -f FILE</code>.
    </Empty>
  );
}
