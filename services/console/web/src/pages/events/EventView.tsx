import { Alert, Anchor, Box, Button, Grid, Stack, Text, Title } from "@mantine/core";
import { useMemo } from "react";
import { Link } from "react-router";
import { api, isMissing, type Schemas } from "../../api/client";
import { paced, useLive } from "../../api/live";
import { fieldsOf } from "../../api/narrow";
import { byCursor, PAGE_SIZE } from "../../api/pages";
import { decisionInWords } from "../../triggers/decisions";
import { runOf } from "../../triggers/causes";
import { Words } from "../../triggers/Words";
import { Facts } from "../../ui/Facts";
import { Json } from "../../ui/Json";
import { List, type Column } from "../../ui/List";
import { Page } from "../../ui/Page";
import { Empty, Failed, Loading } from "../../ui/Said";
import { RunLink } from "../../ui/RunLink";
import { Status } from "../../ui/Status";
import { When } from "../../ui/When";
import { AskTrigger } from "./AskTrigger";

type Answer = Schemas["Answer"];
const REFRESH_MS = 500;

/** One event: what it said, and what every trigger that it concerned made of it. */
export function EventView({ eventId }: { eventId: string }) {
  const path = { event_id: eventId };
  const event = api.useQuery("get", "/api/events/{event_id}", { params: { path } });
  const answers = api.useInfiniteQuery(
    "get",
    "/api/events/{event_id}/decisions",
    { params: { path, query: { limit: PAGE_SIZE } } },
    byCursor,
  );
  const { refetch } = answers;
  const refresh = useMemo(() => paced(() => refetch(), REFRESH_MS), [refetch]);
  useLive("/api/stream?types=TriggerDecided,WorkflowTriggered,RunCompleted,RunFailed,RunCancelled", refresh);
  const isOwn = isMissing(event.error);
  const cause = answers.data?.pages[0]?.items[0]?.cause;
  if (isOwn && isMissing(answers.error)) return <NoSuchEvent eventId={eventId} />;
  return (
    <Page title={event.data?.type ?? cause?.type ?? "Event"} path={[["Events", "/events"]]}>
      <Grid gap="md">
        <Grid.Col span={{ base: 12, md: 5 }}>
          {event.data !== undefined ? (
            <Received event={event.data} />
          ) : isOwn ? (
            <Own eventId={eventId} cause={cause} />
          ) : event.isPending ? (
            <Loading />
          ) : (
            <Failed error={event.error} onRetry={() => void event.refetch()} />
          )}
        </Grid.Col>
        <Grid.Col span={{ base: 12, md: 7 }}>
          <Stack gap="sm">
            <Title order={2}>What it caused</Title>
            <List
              of={answers}
              columns={columns}
              row={(one) => ({
                key: String(one.position),
                "data-testid": "decision-row",
                "data-decision": one.decision,
              })}
              label="What each trigger decided"
              empty={
                <Empty title="No trigger decided anything">
                  It concerned none: no trigger waits for this type from this source, or an index ruled them
                  out.
                </Empty>
              }
            />
            <AskTrigger eventId={eventId} />
          </Stack>
        </Grid.Col>
      </Grid>
    </Page>
  );
}

function NoSuchEvent({ eventId }: { eventId: string }) {
  return (
    <Page title="Event" path={[["Events", "/events"]]}>
      <Empty
        title="There is no such event"
        action={
          <Button component={Link} to={`/events?id=${encodeURIComponent(eventId)}`} variant="default">
            Look for it as the id of its sender
          </Button>
        }
      >
        No event has the id <code className="ff-mono">{eventId}</code> here. Senders give ids of their own.
      </Empty>
    </Page>
  );
}

function Received({ event }: { event: Schemas["ReceivedEvent"] }) {
  const extensions = fieldsOf(event.extensions);
  return (
    <Stack gap="sm">
      <Box className="ff-panel" p="sm">
        <Facts
          of={[
            ["Type", <Filtered key="type" name="type" value={event.type} />],
            ["Source", <Filtered key="source" name="source" value={event.source} />],
            [
              "Id of its sender",
              <code key="id" className="ff-mono">
                {event.id}
              </code>,
            ],
            ["Received", <When key="received" at={event.received_at} />],
            ...(event.time === null
              ? []
              : ([["Its own time", <When key="time" at={event.time} />]] as [string, React.ReactNode][])),
            ...(event.subject === null ? [] : ([["Subject", event.subject]] as [string, React.ReactNode][])),
            ["Position in the log", String(event.position)],
          ]}
        />
      </Box>
      <Box className="ff-panel" p="sm">
        <Title order={2} mb="xs">
          Data
        </Title>
        <Json value={event.data} label="Data of the event" />
      </Box>
      {Object.keys(extensions).length === 0 ? null : (
        <Box className="ff-panel" p="sm">
          <Title order={2} mb="xs">
            Extensions
          </Title>
          <Json value={extensions} label="Extensions" />
        </Box>
      )}
    </Stack>
  );
}

function Filtered({ name, value }: { name: string; value: string }) {
  return (
    <Anchor component={Link} to={`/events?${name}=${encodeURIComponent(value)}`} size="sm">
      {value}
    </Anchor>
  );
}

/** An event of FlowForge itself: the end of a run, a moment of a schedule. */
function Own({ eventId, cause }: { eventId: string; cause: Schemas["CauseView"] | undefined }) {
  if (cause === undefined)
    return (
      <Alert color="gray" variant="light" title="It did not come in from outside">
        No event that came in has the id {eventId}. It may be one of FlowForge’s own, or the id may be
        mistyped.
      </Alert>
    );
  const runId = runOf(cause.source);
  return (
    <Box className="ff-panel" p="sm">
      <Text size="sm" c="dimmed" mb="xs">
        An event of FlowForge itself.
      </Text>
      <Facts
        of={[
          ["Type", cause.type],
          [
            "Of",
            runId === null ? (
              <code className="ff-mono">{cause.source}</code>
            ) : (
              <Anchor component={Link} to={`/runs/${runId}`} size="sm">
                Run {runId}
              </Anchor>
            ),
          ],
          [
            "Id",
            <code key="id" className="ff-mono">
              {cause.id}
            </code>,
          ],
        ]}
      />
    </Box>
  );
}

const columns: Column<Answer>[] = [
  {
    label: "Trigger",
    cell: (one) => (
      <div>
        <Anchor component={Link} to={`/workflows/${one.workflow_id}/triggers/${one.trigger_id}`} size="sm">
          {one.trigger_id}
        </Anchor>
        <Text size="xs" c="dimmed">
          of {one.workflow_id}
        </Text>
      </div>
    ),
  },
  {
    label: "Decided",
    cell: (one) => (
      <div>
        <Status status={one.decision} />
        {one.decision === "fired" ? null : (
          <Text size="xs" c="dimmed" component="div">
            <Words of={decisionInWords(one)} />
          </Text>
        )}
      </div>
    ),
  },
  {
    label: "Run",
    cell: ({ run_id: id, run_status: status }) =>
      id === null ? null : (
        <div>
          <RunLink runId={id} />
          {status === null ? null : (
            <div>
              <Status status={status} />
            </div>
          )}
        </div>
      ),
  },
  { label: "When", cell: ({ decided_at: at }) => <When at={at} />, isExtra: true, align: "right" },
];
