import { Anchor, Button, Stack, Text } from "@mantine/core";
import { IconSend } from "@tabler/icons-react";
import { useMemo } from "react";
import { Link } from "react-router";
import { api, type Schemas } from "../../api/client";
import { paced, useLive } from "../../api/live";
import { byCursor, PAGE_SIZE } from "../../api/pages";
import { useMay } from "../../shell/session";
import { FilterText } from "../../ui/FilterText";
import { List, type Column } from "../../ui/List";
import { Page } from "../../ui/Page";
import { Empty } from "../../ui/Said";
import { Since } from "../../ui/Since";
import { sinceOf } from "../../ui/spans";
import { given, useFilters } from "../../ui/useFilters";
import { When } from "../../ui/When";
import { EffectLine } from "./EffectLine";
import { Publish } from "./Publish";

type Received = Schemas["ReceivedEvent"];
const REFRESH_MS = 500;
const NAMES = ["type", "source", "id"] as const;

/** What came in, and what it caused. */
export function EventList() {
  const mayPublish = useMay("editor");
  const [filter, setFilter] = useFilters();
  const isOpen = mayPublish && filter("publish") !== "";
  const since = sinceOf(filter("since"));
  const asked = given(filter, NAMES);
  const query = { limit: PAGE_SIZE, ...asked, ...(since === undefined ? {} : { since }) };
  const events = api.useInfiniteQuery("get", "/api/events", { params: { query } }, byCursor);
  const { refetch } = events;
  const refresh = useMemo(() => paced(() => refetch(), REFRESH_MS), [refetch]);
  useLive("/api/stream?types=EventReceived,TriggerDecided,WorkflowTriggered", refresh);
  const isFiltered = Object.keys(asked).length > 0 || since !== undefined;
  const publish = mayPublish ? (
    <Button leftSection={<IconSend size={16} aria-hidden />} onClick={() => setFilter({ publish: "event" })}>
      Publish an event
    </Button>
  ) : null;
  return (
    <Page title="Events" actions={publish}>
      <Stack gap="sm">
        <div className="ff-filters">
          <FilterText
            label="Type"
            placeholder="Type, such as order.placed"
            value={filter("type")}
            onChange={(text) => setFilter({ type: text })}
            isSearch
            width={240}
          />
          <FilterText
            label="Source"
            value={filter("source")}
            onChange={(text) => setFilter({ source: text })}
          />
          <FilterText
            label="Id of its sender"
            value={filter("id")}
            onChange={(text) => setFilter({ id: text })}
          />
          <Since value={filter("since")} onChange={(value) => setFilter({ since: value })} />
        </div>
        <List
          of={events}
          columns={columns}
          row={(one) => ({
            key: one.event_id,
            "data-testid": `event-row-${one.event_id}`,
            "data-type": one.type,
          })}
          label="Events, newest first"
          empty={
            isFiltered ? (
              <Empty title="No such event">Look for another type or source, or further back.</Empty>
            ) : (
              <Empty title="No events yet" action={publish}>
                What other systems publish on <code className="ff-mono">flowforge.inbox.&gt;</code> or post to{" "}
                <code className="ff-mono">/api/events</code> shows up here, with what it caused.
              </Empty>
            )
          }
        />
      </Stack>
      {isOpen ? <Publish onClose={() => setFilter({ publish: null })} /> : null}
    </Page>
  );
}

const columns: Column<Received>[] = [
  {
    label: "Type",
    cell: (one) => (
      <div style={{ minWidth: 0 }}>
        <Anchor component={Link} to={`/events/${one.event_id}`} fw={550} size="sm">
          {one.type}
        </Anchor>
        <Text size="xs" c="dimmed">
          from {one.source}
        </Text>
      </div>
    ),
  },
  {
    label: "Data",
    isExtra: true,
    cell: ({ data }) => (
      <Text size="xs" className="ff-mono" lineClamp={2} maw={460} style={{ overflowWrap: "anywhere" }}>
        {JSON.stringify(data).slice(0, 300)}
      </Text>
    ),
  },
  { label: "Caused", cell: ({ caused }) => <EffectLine effects={caused} /> },
  { label: "Received", cell: ({ received_at: at }) => <When at={at} />, align: "right" },
];
