/* One trigger: what it does, what it decided and why, what it would have decided otherwise. */
import { Alert, Box, Button, Grid, Stack, Tabs, Text } from "@mantine/core";
import { useMemo } from "react";
import { Link, useParams } from "react-router";
import { api, isMissing } from "../../api/client";
import { fieldsOf } from "../../api/narrow";
import { paced, useLive } from "../../api/live";
import { triggerKindOf } from "../../triggers/kinds";
import { readTrigger, type Trigger as Definition } from "../../triggers/trigger";
import { inWords } from "../../triggers/words";
import { Words } from "../../triggers/Words";
import { Page } from "../../ui/Page";
import { Empty, Failed, Loading } from "../../ui/Said";
import { useFilters } from "../../ui/useFilters";
import { Actions } from "./Actions";
import { Counts } from "./Counts";
import { Decisions } from "./Decisions";
import { concerns, jobTypeOf } from "./concerns";
import { useDecisions } from "./useDecisions";
import { Upcoming } from "./Upcoming";
import { WhatIf } from "./WhatIf";

const REFRESH_MS = 500;

export default function Trigger() {
  const { workflowId = "", triggerId = "" } = useParams();
  const path = { workflow_id: workflowId };
  const triggers = api.useQuery("get", "/api/workflows/{workflow_id}/triggers", { params: { path } });
  const items = triggers.data?.items.map(fieldsOf);
  const definition = items?.find(({ id }) => id === triggerId);
  const trigger = definition === undefined ? null : readTrigger(definition);
  const kind = triggerKindOf(trigger?.type ?? "");
  const title = trigger === null || trigger.name === "" ? triggerId : trigger.name;
  return (
    <Page
      title={title}
      path={[
        ["Workflows", "/workflows"],
        [workflowId, `/workflows/${workflowId}`],
        ["Triggers", `/triggers?search=${workflowId}`],
      ]}
      aside={trigger === null ? null : <Text c="dimmed">{kind.label}</Text>}
      actions={
        definition === undefined || trigger === null ? null : (
          <Actions workflowId={workflowId} trigger={trigger} definition={definition} />
        )
      }
    >
      {items === undefined ? (
        triggers.isPending ? (
          <Loading />
        ) : (
          <Failed error={triggers.error} onRetry={() => void triggers.refetch()} />
        )
      ) : (
        <Stack gap="md">
          <Shown
            key={`${workflowId}/${triggerId}`}
            workflowId={workflowId}
            triggerId={triggerId}
            trigger={trigger}
            definition={definition}
          />
        </Stack>
      )}
    </Page>
  );
}

function What({ trigger, triggerId }: { trigger: Definition | null; triggerId: string }) {
  const jobType = jobTypeOf(triggerId);
  if (trigger !== null)
    return (
      <Box className="ff-panel" p="sm" data-testid="trigger-in-words">
        <Text component="div">
          It <Words of={inWords(trigger)} />.
        </Text>
      </Box>
    );
  if (jobType !== null)
    return (
      <Box className="ff-panel" p="sm">
        <Text component="div">
          It fires when a job of type <code className="ff-mono">{jobType}</code> completes in the workflow’s
          experiment. It is switched on and off on the workflow’s page.
        </Text>
      </Box>
    );
  return (
    <Alert color="gray" variant="light" title="This trigger is not in the workflow (any more)">
      What it decided stays on record and is shown below.
    </Alert>
  );
}

function NoSuchTrigger({ workflowId, triggerId }: { workflowId: string; triggerId: string }) {
  return (
    <Empty
      title="There is no such trigger"
      action={
        <Button component={Link} to={`/workflows/${workflowId}/triggers`} variant="default">
          To the triggers of {workflowId}
        </Button>
      }
    >
      {workflowId} never had a trigger <code className="ff-mono">{triggerId}</code>.
    </Empty>
  );
}

interface ShownProps {
  workflowId: string;
  triggerId: string;
  trigger: Definition | null;
  definition: unknown;
}

function Shown({ workflowId, triggerId, trigger, definition }: ShownProps) {
  const [filter, setFilter] = useFilters();
  const isSchedule = trigger?.type === "schedule";
  const path = { workflow_id: workflowId, trigger_id: triggerId };
  const stats = api.useQuery("get", "/api/workflows/{workflow_id}/triggers/{trigger_id}/stats", {
    params: { path },
  });
  const view = filter("view") === "what-if" && trigger !== null ? "what-if" : "decisions";
  const decisions = useDecisions(workflowId, triggerId, filter("cause"), filter("decision"));
  const [refetchStats, refetchDecisions] = [stats.refetch, decisions.refetch];
  const refresh = useMemo(
    () => paced(() => Promise.all([refetchStats(), refetchDecisions()]), REFRESH_MS),
    [refetchStats, refetchDecisions],
  );
  const address = `/api/stream?workflow_id=${encodeURIComponent(workflowId)}&types=TriggerDecided,WorkflowTriggered`;
  useLive(
    address,
    (events) => {
      if (events.some(({ data }) => concerns(data, triggerId))) refresh();
    },
    refresh,
  );
  if (trigger === null && isMissing(stats.error))
    return <NoSuchTrigger workflowId={workflowId} triggerId={triggerId} />;
  return (
    <>
      <What trigger={trigger} triggerId={triggerId} />
      <Grid gap="md" align="stretch">
        <Grid.Col span={{ base: 12, md: isSchedule ? 8 : 12 }}>
          <Counts of={stats} />
        </Grid.Col>
        {isSchedule ? (
          <Grid.Col span={{ base: 12, md: 4 }}>
            <Upcoming workflowId={workflowId} trigger={trigger} />
          </Grid.Col>
        ) : null}
      </Grid>
      <Tabs
        value={view}
        onChange={(chosen) => setFilter({ view: chosen === "what-if" ? chosen : null })}
        keepMounted={false}
      >
        <Tabs.List>
          <Tabs.Tab value="decisions">Decisions</Tabs.Tab>
          {trigger === null || trigger.type === "manual" ? null : (
            <Tabs.Tab value="what-if">What if…</Tabs.Tab>
          )}
        </Tabs.List>
        <Tabs.Panel value="decisions" pt="sm">
          <Decisions of={decisions} />
        </Tabs.Panel>
        {trigger === null ? null : (
          <Tabs.Panel value="what-if" pt="sm">
            <WhatIf workflowId={workflowId} definition={definition} />
          </Tabs.Panel>
        )}
      </Tabs>
    </>
  );
}
