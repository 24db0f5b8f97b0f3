/* One workflow: what it looks like, what starts it, how it did, how it became what it is. */
import { Badge, Stack, Tabs, Text } from "@mantine/core";
import { Link, Navigate, useNavigate, useParams } from "react-router";
import { api, type Schemas } from "../../api/client";
import { useLive } from "../../api/live";
import { TabList } from "../../ui/TabList";
import { Page } from "../../ui/Page";
import { Shown } from "../../ui/Said";
import { Status } from "../../ui/Status";
import { Actions } from "./Actions";
import { GraphTab } from "./GraphTab";
import { RunsTab } from "./RunsTab";
import { SettingsTab } from "./SettingsTab";
import { StatisticsTab } from "./StatisticsTab";
import { TriggersTab } from "./TriggersTab";
import { VersionsTab } from "./VersionsTab";
import { useRefreshing } from "./useRefreshing";
import { YamlTab } from "./YamlTab";

export interface TabProps {
  workflow: Schemas["WorkflowView"];
}

const TABS: { id: string; label: string; of: (props: TabProps) => React.ReactNode }[] = [
  { id: "graph", label: "Graph", of: GraphTab },
  { id: "triggers", label: "Triggers", of: TriggersTab },
  { id: "runs", label: "Runs", of: RunsTab },
  { id: "statistics", label: "Statistics", of: StatisticsTab },
  { id: "versions", label: "Versions", of: VersionsTab },
  { id: "settings", label: "Settings", of: SettingsTab },
  { id: "yaml", label: "YAML", of: YamlTab },
];
/** Where one stream follows all that a tab of this page shows. */
const TYPES =
  "RunStarted,RunCompleted,RunPartiallyCompleted,RunFailed,RunCancelled,RunPaused,RunResumed,NodeStarted,NodeCompleted,NodeFailed,NodeSkipped,NodeWaiting,TriggerDecided,WorkflowTriggered,WorkflowUpdated,WorkflowArchived";

export default function Workflow() {
  const { workflowId = "", tab = "graph" } = useParams();
  const workflow = api.useQuery("get", "/api/workflows/{workflow_id}", {
    params: { path: { workflow_id: workflowId } },
  });
  if (!TABS.some(({ id }) => id === tab)) return <Navigate to={`/workflows/${workflowId}`} replace />;
  const name = workflow.data?.name ?? workflowId;
  return (
    <Page
      title={name}
      path={[["Workflows", "/workflows"]]}
      fills={tab === "graph"}
      aside={workflow.data === undefined ? null : <State of={workflow.data} />}
      actions={workflow.data === undefined ? null : <Actions workflow={workflow.data} />}
    >
      <Shown of={workflow}>{(data) => <Tabbed key={workflowId} workflow={data} tab={tab} />}</Shown>
    </Page>
  );
}

function State({ of }: { of: Schemas["WorkflowView"] }) {
  return (
    <>
      <Status status={of.status} detail={`version ${of.version}`} />
      {of.tags.map((tag) => (
        <Badge
          key={tag}
          component={Link}
          to={`/workflows?tag=${encodeURIComponent(tag)}`}
          variant="default"
          tt="none"
          fw={500}
          style={{ cursor: "pointer" }}
        >
          {tag}
        </Badge>
      ))}
    </>
  );
}

function Tabbed({ workflow, tab }: TabProps & { tab: string }) {
  const go = useNavigate();
  const refresh = useRefreshing(workflow.id);
  useLive(`/api/stream?workflow_id=${workflow.id}&types=${TYPES}`, refresh, refresh);
  const Chosen = TABS.find(({ id }) => id === tab)?.of ?? GraphTab;
  const isGraph = tab === "graph";
  return (
    <Stack gap="sm" style={isGraph ? { height: "100%" } : undefined}>
      {workflow.description === "" ? null : (
        <Text size="sm" c="dimmed" maw={820}>
          {workflow.description}
        </Text>
      )}
      <Tabs
        value={tab}
        onChange={(next) => void go(`/workflows/${workflow.id}${next === "graph" ? "" : `/${next ?? ""}`}`)}
        keepMounted={false}
        style={isGraph ? { flex: 1, minHeight: 0, display: "flex", flexDirection: "column" } : undefined}
      >
        <TabList shown={tab}>
          {TABS.map(({ id, label }) => (
            <Tabs.Tab key={id} value={id} data-testid={`tab-${id}`}>
              {id === "triggers" ? `${label} (${workflow.triggers.length})` : label}
            </Tabs.Tab>
          ))}
        </TabList>
        <Tabs.Panel value={tab} pt="md" style={isGraph ? { flex: 1, minHeight: 0 } : undefined}>
          <Chosen workflow={workflow} />
        </Tabs.Panel>
      </Tabs>
    </Stack>
  );
}
