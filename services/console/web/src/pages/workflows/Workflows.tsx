/* All workflows: found by name, tag and state; how they did lately, and what comes next. */
import { Button, Group, Select, Stack } from "@mantine/core";
import { IconPlus, IconUpload, IconX } from "@tabler/icons-react";
import { useMemo, useState } from "react";
import { Link } from "react-router";
import { api } from "../../api/client";
import { paced, useLive } from "../../api/live";
import { byCursor, PAGE_SIZE } from "../../api/pages";
import type { WorkflowStatus } from "../../definition/useStatus";
import { RunDialog } from "../../run-dialog/RunDialog";
import { useMay } from "../../shell/session";
import { List } from "../../ui/List";
import { Page } from "../../ui/Page";
import { FilterText } from "../../ui/FilterText";
import { Empty } from "../../ui/Said";
import { useFilters } from "../../ui/useFilters";
import { columns } from "./columns";
import { ImportDialog } from "./ImportDialog";

const REFRESH_MS = 1_000;
const LIVE =
  "/api/stream?types=RunStarted,RunCompleted,RunPartiallyCompleted,RunFailed,RunCancelled,WorkflowCreated,WorkflowUpdated,WorkflowArchived";

export default function Workflows() {
  const mayRun = useMay("operator");
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
          columns={columns(mayRun ? setAsked : null, (tag) => setFilter({ tag }))}
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
      aria-label={`${label}: ${value}, take this filter away`}
      rightSection={<IconX size={14} aria-hidden />}
    >
      {label}: {value}
    </Button>
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
