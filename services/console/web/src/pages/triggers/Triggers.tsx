import { Anchor, Button, Group, Select, Stack, Text } from "@mantine/core";
import { Link } from "react-router";
import { api, type Schemas } from "../../api/client";
import { useLive, paced } from "../../api/live";
import { byCursor, PAGE_SIZE } from "../../api/pages";
import { decisionInWords } from "../../triggers/decisions";
import { triggerKindOf, triggerKinds, triggerTypes } from "../../triggers/kinds";
import { readTrigger } from "../../triggers/trigger";
import { inWords } from "../../triggers/words";
import { Words } from "../../triggers/Words";
import { FilterText } from "../../ui/FilterText";
import { List, type Column } from "../../ui/List";
import { Page } from "../../ui/Page";
import { Empty } from "../../ui/Said";
import { Status } from "../../ui/Status";
import { useFilters } from "../../ui/useFilters";
import { When } from "../../ui/When";
import { useMemo } from "react";
import { TriggerSwitch } from "./TriggerSwitch";

type Listed = Schemas["ListedTrigger"];
const REFRESH_MS = 1_000;

export default function Triggers() {
  const [filter, setFilter] = useFilters();
  const type = triggerTypes.find((one) => one === filter("type"));
  const search = filter("search");
  const query = {
    limit: PAGE_SIZE,
    ...(type === undefined ? {} : { type }),
    ...(search === "" ? {} : { search }),
  };
  const triggers = api.useInfiniteQuery("get", "/api/triggers", { params: { query } }, byCursor);
  const { refetch } = triggers;
  const refresh = useMemo(() => paced(() => refetch(), REFRESH_MS), [refetch]);
  useLive("/api/stream?types=TriggerDecided,WorkflowTriggered,WorkflowUpdated,WorkflowCreated", refresh);
  return (
    <Page title="Triggers">
      <Stack gap="sm">
        <div className="ff-filters">
          <FilterText
            label="Search triggers"
            placeholder="Trigger or workflow"
            value={search}
            onChange={(text) => setFilter({ search: text })}
            isSearch
            width={260}
          />
          <Select
            aria-label="Type"
            placeholder="Any type"
            data={triggerTypes.map((value) => ({ value, label: triggerKinds[value].label }))}
            value={type ?? null}
            onChange={(value) => setFilter({ type: value })}
            clearable
            w={200}
          />
        </div>
        <List
          of={triggers}
          columns={columns}
          row={(one) => ({
            key: `${one.workflow_id}/${one.id}`,
            "data-testid": `trigger-row-${one.id}`,
            "data-type": one.type,
          })}
          label="Triggers"
          empty={<None isFiltered={type !== undefined || search !== ""} />}
        />
      </Stack>
    </Page>
  );
}

function None({ isFiltered }: { isFiltered: boolean }) {
  if (isFiltered)
    return <Empty title="No such trigger">Look for another name, or take the filter away.</Empty>;
  return (
    <Empty
      title="No triggers yet"
      action={
        <Button component={Link} to="/workflows" variant="default">
          To the workflows
        </Button>
      }
    >
      A trigger starts runs of a workflow: by the clock, when an event comes, when other workflows end. Open a
      workflow and add one.
    </Empty>
  );
}

const columns: Column<Listed>[] = [
  { label: "Trigger", cell: (one) => <Named of={one} /> },
  {
    label: "Workflow",
    isExtra: true,
    cell: (one) => (
      <Anchor component={Link} to={`/workflows/${one.workflow_id}`} size="sm">
        {one.workflow_name}
      </Anchor>
    ),
  },
  { label: "Last decision", cell: (one) => <Last of={one.last_decision} /> },
  {
    label: "Next",
    isExtra: true,
    cell: ({ next_at: at }) =>
      at === null ? (
        <Text size="sm" c="dimmed">
          –
        </Text>
      ) : (
        <When at={at} relative />
      ),
  },
  {
    label: "On",
    align: "right",
    cell: (one) => <TriggerSwitch workflowId={one.workflow_id} triggerId={one.id} isOn={one.enabled} />,
  },
];

function Named({ of }: { of: Listed }) {
  const kind = triggerKindOf(of.type);
  const Sign = kind.icon;
  return (
    <Group gap="sm" wrap="nowrap" align="flex-start">
      <Sign size={18} aria-label={kind.label} role="img" style={{ flexShrink: 0, marginTop: 2 }} />
      <div style={{ minWidth: 0 }}>
        <Anchor component={Link} to={`/workflows/${of.workflow_id}/triggers/${of.id}`} fw={550} size="sm">
          {of.name === "" ? of.id : of.name}
        </Anchor>
        <Text size="xs" c="dimmed" component="div" maw={520}>
          <Words of={inWords(readTrigger(of.definition))} />
        </Text>
        {of.workflow_status === "active" ? null : (
          <Text size="xs" c="dimmed">
            Its workflow is {of.workflow_status}: nothing is started.
          </Text>
        )}
      </div>
    </Group>
  );
}

function Last({ of }: { of: Listed["last_decision"] }) {
  if (of === null)
    return (
      <Text size="sm" c="dimmed">
        none yet
      </Text>
    );
  return (
    <div>
      <Group gap={6}>
        <Status status={of.decision} />
        <Text size="xs" c="dimmed">
          <When at={of.decided_at} relative />
        </Text>
      </Group>
      <Text size="xs" c="dimmed" component="div" className="ff-extra" maw={380} lineClamp={2}>
        {of.decision === "fired" ? null : <Words of={decisionInWords(of)} />}
      </Text>
    </div>
  );
}
