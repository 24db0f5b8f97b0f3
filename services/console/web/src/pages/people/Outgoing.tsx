/* Who outside is told of runs, by HTTP, and how that goes. */
import { Button, Group, Stack, Text } from "@mantine/core";
import { api, type Schemas } from "../../api/client";
import { byCursor, PAGE_SIZE } from "../../api/pages";
import { useMay } from "../../shell/session";
import { List, type Column } from "../../ui/List";
import { Empty } from "../../ui/Said";
import { say, sayProblem } from "../../ui/say";
import { Status } from "../../ui/Status";
import { count, took } from "../../ui/times";
import { When } from "../../ui/When";

type Subscription = Schemas["SubscriptionView"];

export function Outgoing() {
  const mayEdit = useMay("editor");
  const subscriptions = api.useInfiniteQuery(
    "get",
    "/api/subscriptions",
    { params: { query: { limit: PAGE_SIZE } } },
    byCursor,
  );
  return (
    <Stack gap="xs">
      <Text size="sm" c="dimmed" maw={640}>
        Subscriptions post events of runs to other systems, signed, and try again until they are taken. They
        are made by <code className="ff-mono">POST /api/subscriptions</code>.
      </Text>
      <List
        of={subscriptions}
        label="Subscriptions"
        columns={[
          ...COLUMNS,
          ...(mayEdit ? [{ label: "Do", cell: (one: Subscription) => <Buttons of={one} /> }] : []),
        ]}
        row={({ id, status }) => ({
          key: id,
          "data-testid": `subscription-row-${id}`,
          "data-status": status,
        })}
        empty={
          <Empty title="Nobody is told">
            A subscription tells another system when runs end, fail or wait: by HTTP, with a signature that it
            can check.
          </Empty>
        }
      />
    </Stack>
  );
}

const COLUMNS: Column<Subscription>[] = [
  {
    label: "Who",
    cell: ({ id, name, url, filter }) => (
      <Stack gap={0}>
        <Text size="sm" fw={550}>
          {name === "" ? id : name}
        </Text>
        <Text size="xs" c="dimmed" style={{ overflowWrap: "anywhere" }}>
          {url}
        </Text>
        <Text size="xs" c="dimmed">
          {[filter.workflow_id ?? "all workflows", ...(filter.types ?? []), ...(filter.statuses ?? [])].join(
            ", ",
          )}
        </Text>
      </Stack>
    ),
  },
  {
    label: "State",
    cell: ({ status, paused }) => (
      <Stack gap={0}>
        <Status status={status} />
        {paused === null ? null : (
          <Text size="xs" c="dimmed">
            {paused.detail ?? paused.reason.replaceAll("_", " ")}
          </Text>
        )}
      </Stack>
    ),
  },
  {
    label: "Deliveries",
    isExtra: true,
    cell: ({ deliveries }) => (
      <Stack gap={0}>
        <Text size="sm" className="ff-number">
          {count(deliveries.delivered)} taken, {count(deliveries.pending)} to come, {count(deliveries.failed)}{" "}
          given up
        </Text>
        <Text size="xs" c="dimmed">
          {deliveries.last_error ?? <When at={deliveries.last_delivered_at} relative />}
        </Text>
      </Stack>
    ),
  },
];

function Buttons({ of }: { of: Subscription }) {
  const params = { params: { path: { subscription_id: of.id } } };
  const pause = api.useMutation("post", "/api/subscriptions/{subscription_id}/pause");
  const resume = api.useMutation("post", "/api/subscriptions/{subscription_id}/resume");
  const test = api.useMutation("post", "/api/subscriptions/{subscription_id}/test", {
    onSuccess: ({ delivered, status, duration_ms, error }) => {
      if (delivered) say(`${of.id} took a trial event in ${took(duration_ms)}.`);
      else
        sayProblem(new Error(`${of.id} did not take it: ${error ?? `it answered ${status ?? "nothing"}`}`));
    },
  });
  return (
    <Group gap={6} wrap="nowrap">
      <Button
        variant="default"
        size="compact-xs"
        loading={test.isPending}
        onClick={() => test.mutate(params)}
        aria-label={`Test ${of.id} with a trial event`}
      >
        Test
      </Button>
      {of.paused === null ? (
        <Button
          variant="default"
          size="compact-xs"
          loading={pause.isPending}
          onClick={() => pause.mutate(params)}
          aria-label={`Pause ${of.id}`}
        >
          Pause
        </Button>
      ) : (
        <Button
          variant="default"
          size="compact-xs"
          loading={resume.isPending}
          onClick={() => resume.mutate(params)}
          aria-label={`Resume ${of.id}`}
        >
          Resume
        </Button>
      )}
    </Group>
  );
}
