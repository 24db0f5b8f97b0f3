/* The run's history: every event, what it says, and the way to the moment after it. */
import { Button, CloseButton, Group, Text, TextInput, Title } from "@mantine/core";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useMemo, useRef, useState } from "react";
import { api } from "../../api/client";
import type { LoggedEvent } from "../../api/live";
import { byCursor } from "../../api/pages";
import { Facts } from "../../ui/Facts";
import { Json } from "../../ui/Json";
import { Empty, Failed, Loading } from "../../ui/Said";
import { count } from "../../ui/times";
import { When } from "../../ui/When";
import { countOf, momentIn } from "./moments";
import { ofWhom, whatSaid } from "./said";
import type { SeenRun } from "./seen";

const PAGE = 500;
const ROW_PX = 27;
/** While so many pages or fewer are shown, what comes live is read by itself. */
const FOLLOWED_PAGES_MAX = 2;

export default function EventsTab({ run, at, moments, toPosition }: SeenRun) {
  const [search, setSearch] = useState("");
  const [chosen, setChosen] = useState<LoggedEvent | null>(null);
  const pages = api.useInfiniteQuery(
    "get",
    "/api/runs/{run_id}/events",
    { params: { path: { run_id: run.run_id }, query: { limit: PAGE } } },
    byCursor,
  );
  const events = useMemo(() => pages.data?.pages.flatMap((page) => page.items) ?? [], [pages.data]);
  const all = countOf(moments);
  const { refetch, isFetching, hasNextPage } = pages;
  const missed = hasNextPage || pages.data === undefined ? 0 : Math.max(0, all - events.length);
  const isFollowed = (pages.data?.pages.length ?? 0) <= FOLLOWED_PAGES_MAX;
  useEffect(() => {
    if (missed > 0 && isFollowed && !isFetching) void refetch();
  }, [missed, isFollowed, isFetching, refetch]);
  const shown = useMemo(() => {
    const wanted = search.trim().toLowerCase();
    return wanted === "" ? events : events.filter((event) => isFound(event, wanted));
  }, [events, search]);
  if (pages.isPending) return <Loading what="Loading the history" />;
  if (pages.data === undefined) return <Failed error={pages.error} onRetry={() => void refetch()} />;
  return (
    <div className="ff-run-beside">
      <div className="ff-panel" style={{ display: "flex", flexDirection: "column", overflow: "hidden" }}>
        <Group p="xs" gap="sm" style={{ borderBottom: "1px solid var(--ff-line)" }}>
          <TextInput
            size="xs"
            type="search"
            placeholder="Type or node…"
            aria-label="Only events with this in them"
            value={search}
            onChange={(event) => setSearch(event.currentTarget.value)}
          />
          {missed > 0 && !isFollowed ? (
            <Button size="compact-xs" variant="default" loading={isFetching} onClick={() => void refetch()}>
              Read {count(missed)} more that came
            </Button>
          ) : null}
          <Text size="xs" c="dimmed" ml="auto" className="ff-number">
            {search === "" ? "" : `${count(shown.length)} found, `}
            {count(events.length)}
            {all > events.length ? ` of ${count(all)}` : ""} events
          </Text>
        </Group>
        {shown.length === 0 ? (
          <Empty title="No such event">
            {hasNextPage
              ? "Only what was loaded is searched: scroll down to load more."
              : "Try another word."}
          </Empty>
        ) : (
          <EventRows
            events={shown}
            at={at}
            hasAll={!hasNextPage}
            chosen={chosen?.position ?? null}
            onChoose={setChosen}
            onMoment={toPosition}
            onEnd={() => {
              if (hasNextPage && !isFetching) void pages.fetchNextPage();
            }}
          />
        )}
        {hasNextPage && search !== "" ? (
          <Button
            size="compact-xs"
            m={6}
            variant="default"
            loading={pages.isFetchingNextPage}
            onClick={() => void pages.fetchNextPage()}
          >
            Search further
          </Button>
        ) : null}
      </div>
      {chosen === null ? null : (
        <aside className="ff-panel ff-aside" style={{ padding: 12 }} aria-label={`Event ${chosen.type}`}>
          <Group justify="space-between" wrap="nowrap" mb="xs">
            <Title order={2}>{chosen.type}</Title>
            <CloseButton aria-label="Close the event" onClick={() => setChosen(null)} />
          </Group>
          <Facts
            of={[
              ["When", <When key="when" at={String(chosen.recorded_at)} />],
              ["Position", count(chosen.position)],
              ["Number", `${count(chosen.version)} of this run`],
              ["By", chosen.actor ?? "FlowForge"],
              [
                "Id",
                <code key="id" className="ff-mono">
                  {chosen.event_id}
                </code>,
              ],
            ]}
          />
          <Group my="sm">
            <Button size="compact-sm" variant="default" onClick={() => toPosition(chosen.position)}>
              See the run as it was then
            </Button>
          </Group>
          <Json value={chosen.data} label="data of the event" />
        </aside>
      )}
    </div>
  );
}

function isFound(event: LoggedEvent, wanted: string): boolean {
  return (
    event.type.toLowerCase().includes(wanted) ||
    ofWhom(event.data).toLowerCase().includes(wanted) ||
    whatSaid(event.type, event.data).toLowerCase().includes(wanted)
  );
}

interface EventRowsProps {
  events: LoggedEvent[];
  at: number | null;
  /** The whole history is there, not only its beginning. */
  hasAll: boolean;
  chosen: number | null;
  onChoose: (event: LoggedEvent) => void;
  onMoment: (position: number) => void;
  onEnd: () => void;
}

function EventRows({ events, at, hasAll, chosen, onChoose, onEnd }: EventRowsProps) {
  const place = useRef<HTMLDivElement>(null);
  // eslint-disable-next-line react-hooks/incompatible-library -- its rows are drawn in this component only
  const rows = useVirtualizer({
    count: events.length,
    getScrollElement: () => place.current,
    estimateSize: () => ROW_PX,
    overscan: 15,
  });
  const items = rows.getVirtualItems();
  const lastShown = items.at(-1)?.index ?? 0;
  useEffect(() => {
    if (lastShown >= events.length - 30) onEnd();
  });
  const here = at === null ? -1 : momentIn(events, at, hasAll);
  const isReadOn = at !== null && here === -1 && !hasAll;
  const { scrollToIndex } = rows;
  useEffect(() => {
    if (here >= 0) scrollToIndex(here, { align: "auto" });
  }, [here, scrollToIndex]);
  useEffect(() => {
    if (isReadOn) onEnd();
  });
  return (
    <div
      ref={place}
      className="ff-scroll"
      style={{ flex: 1, minHeight: 0 }}
      tabIndex={0}
      role="region"
      aria-label="History of the run"
      data-testid="history"
    >
      {isReadOn ? (
        <Text size="xs" role="status" p={6} style={{ color: "var(--ff-waiting)" }}>
          Reading on to the moment that you see: {count(events.length)} events so far…
        </Text>
      ) : null}
      <div style={{ height: rows.getTotalSize(), position: "relative" }}>
        {items.map((item) => {
          const event = events[item.index];
          return event === undefined ? null : (
            <button
              type="button"
              key={event.position}
              className="ff-said-row ff-event"
              data-testid={`event-${event.position}`}
              data-here={item.index === here}
              data-later={here >= 0 && item.index > here}
              data-selected={event.position === chosen}
              onClick={() => onChoose(event)}
              style={{ position: "absolute", top: item.start, height: ROW_PX, left: 0 }}
            >
              <span className="ff-number ff-dim">{count(event.version)}</span>
              <span className="ff-extra ff-dim">
                <When at={String(event.recorded_at)} />
              </span>
              <b>{event.type}</b>
              <span>
                {[ofWhom(event.data), whatSaid(event.type, event.data)].filter(Boolean).join(": ")}
                {item.index === here ? "  ◀ you are here" : ""}
              </span>
            </button>
          );
        })}
      </div>
    </div>
  );
}
