/* When what ran: attempts as bars, the waiting before them hatched, and where the time went. */
import { Button, Group, Slider, Text, Title } from "@mantine/core";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useElementSize } from "@mantine/hooks";
import { useMemo, useRef, useState } from "react";
import { api } from "../../api/client";
import { byCursor } from "../../api/pages";
import { Empty, Loading } from "../../ui/Said";
import { colourOf, StatusIcon } from "../../ui/Status";
import { count, took } from "../../ui/times";
import { useNow } from "../../ui/When";
import { chartOf, standing, ticksOf, type Chart, type Row } from "./gantt";
import { MetricsPanel } from "./MetricsPanel";
import type { SeenRun } from "./seen";
import { ENDED } from "./useRun";

const PAGE = 1_000;
const ROW_PX = 22;
const LABEL_PX = 190;
const NARROW_LABEL_PX = 110;
const TICK_EACH_PX = 110;
const ZOOM_MAX = 200;
const READ_EACH_MS = 1_000;

export default function TimelineTab({ run, at, chosen }: SeenRun) {
  const isLive = at === null && !ENDED.has(run.status);
  const params = { params: { path: { run_id: run.run_id } } };
  const pages = api.useInfiniteQuery(
    "get",
    "/api/runs/{run_id}/timeline",
    { params: { ...params.params, query: { limit: PAGE } } },
    {
      ...byCursor,
      refetchInterval: ({ state }) => (isLive && (state.data?.pages.length ?? 0) < 3 ? READ_EACH_MS : false),
    },
  );
  const metrics = api.useQuery("get", "/api/runs/{run_id}/metrics", params, {
    refetchInterval: isLive ? 3 * READ_EACH_MS : false,
  });
  const now = useNow(isLive);
  const attempts = useMemo(() => pages.data?.pages.flatMap((page) => page.items) ?? [], [pages.data]);
  const critical = metrics.data?.critical_path;
  const then = run.as_of?.at ?? null;
  const ended = run.completed_at === null ? now : Date.parse(run.completed_at);
  const until = then === null ? ended : Date.parse(then);
  const chart = useMemo(
    () => chartOf(attempts, { from: run.created_at, until, then, critical: critical ?? [] }),
    [attempts, run.created_at, until, then, critical],
  );
  if (pages.isPending) return <Loading what="Loading the timeline" />;
  return (
    <div className="ff-run-beside">
      <div className="ff-panel" style={{ display: "flex", flexDirection: "column", overflow: "hidden" }}>
        {chart.rows.length === 0 ? (
          <Empty title="Nothing has run yet">
            Each attempt of a node appears here as soon as it is queued.
          </Empty>
        ) : (
          <Gantt chart={chart} onNode={(nodeId, instance) => chosen.choose({ nodeId, instance })} />
        )}
        {pages.hasNextPage ? (
          <Group p={6} gap="sm">
            <Text size="xs" c="dimmed">
              The first {count(attempts.length)} attempts
            </Text>
            <Button
              size="compact-xs"
              variant="default"
              loading={pages.isFetchingNextPage}
              onClick={() => void pages.fetchNextPage()}
            >
              Show more
            </Button>
          </Group>
        ) : null}
      </div>
      <aside className="ff-panel ff-aside" style={{ padding: 12 }} aria-label="Metrics">
        <Title order={2} mb="xs">
          Where the time went
        </Title>
        {metrics.data === undefined ? (
          <Loading />
        ) : (
          <MetricsPanel metrics={metrics.data} isPast={at !== null} />
        )}
      </aside>
    </div>
  );
}

interface GanttProps {
  chart: Chart;
  onNode: (nodeId: string, instance: string | null) => void;
}

function Gantt({ chart, onNode }: GanttProps) {
  const place = useRef<HTMLDivElement>(null);
  const { ref: measured, width } = useElementSize();
  const [zoom, setZoom] = useState(0);
  const label = width > 0 && width < 560 ? NARROW_LABEL_PX : LABEL_PX;
  const duration = chart.until - chart.from;
  const breadth = Math.max(80, (width - label - 24) * ZOOM_MAX ** zoom);
  // eslint-disable-next-line react-hooks/incompatible-library -- its rows are drawn in this component only
  const rows = useVirtualizer({
    count: chart.rows.length,
    getScrollElement: () => place.current,
    estimateSize: () => ROW_PX,
    overscan: 12,
  });
  return (
    <>
      <Group px="sm" py={6} gap="sm" wrap="nowrap">
        <Legend />
        <Text size="xs" c="dimmed" ml="auto" id="zoom">
          Zoom
        </Text>
        <Slider
          w={120}
          size="xs"
          min={0}
          max={1}
          step={0.02}
          value={zoom}
          onChange={setZoom}
          label={null}
          thumbLabel="Zoom of the timeline"
        />
        <Button size="compact-xs" variant="default" disabled={zoom === 0} onClick={() => setZoom(0)}>
          Fit
        </Button>
      </Group>
      <div ref={measured} style={{ flex: 1, minHeight: 0, position: "relative" }}>
        <div
          ref={place}
          className="ff-scroll"
          style={{ position: "absolute", inset: 0 }}
          tabIndex={0}
          role="region"
          aria-label={`Timeline, ${count(chart.rows.length)} attempts`}
          data-testid="timeline"
        >
          <div style={{ width: label + breadth + 24, position: "relative" }}>
            <Axis duration={duration} breadth={breadth} label={label} />
            <div style={{ height: rows.getTotalSize(), position: "relative" }}>
              {rows.getVirtualItems().map((item) => {
                const row = chart.rows[item.index];
                return row === undefined ? null : (
                  <GanttRow
                    key={row.key}
                    row={row}
                    top={item.start}
                    label={label}
                    breadth={breadth}
                    onNode={onNode}
                  />
                );
              })}
            </div>
          </div>
        </div>
      </div>
    </>
  );
}

function Axis({ duration, breadth, label }: { duration: number; breadth: number; label: number }) {
  const ticks = ticksOf(duration, breadth / TICK_EACH_PX);
  return (
    <div
      aria-hidden
      style={{
        position: "sticky",
        top: 0,
        zIndex: 3,
        height: 22,
        background: "var(--ff-panel)",
        borderBottom: "1px solid var(--ff-line)",
      }}
    >
      {ticks.map((tick) => (
        <span
          key={tick}
          className="ff-number"
          style={{
            position: "absolute",
            left: label + (tick / Math.max(1, duration)) * breadth,
            fontSize: 11,
            color: "var(--mantine-color-dimmed)",
            borderLeft: "1px solid var(--ff-line)",
            paddingLeft: 3,
            whiteSpace: "nowrap",
          }}
        >
          {took(tick)}
        </span>
      ))}
    </div>
  );
}

interface GanttRowProps {
  row: Row;
  top: number;
  label: number;
  breadth: number;
  onNode: GanttProps["onNode"];
}

function GanttRow({ row, top, label, breadth, onNode }: GanttRowProps) {
  const { attempt } = row;
  const words = [
    row.label,
    standing(attempt),
    took(attempt.duration_ms),
    attempt.attempt > 1 ? `attempt ${attempt.attempt}` : "",
    row.isCritical ? "on the critical path" : "",
  ]
    .filter(Boolean)
    .join(", ");
  const bar = (from: number, width: number) => ({
    left: label + from * breadth,
    width: Math.max(2, width * breadth),
  });
  return (
    <div
      data-testid={`bar-${attempt.node_id}`}
      data-status={standing(attempt)}
      data-critical={row.isCritical}
      title={words}
      style={{ position: "absolute", top, height: ROW_PX, left: 0, right: 0 }}
    >
      <button
        type="button"
        onClick={() => onNode(attempt.node_id, attempt.instance === "" ? null : attempt.instance)}
        aria-label={words}
        className="ff-gantt-name"
        style={{ width: label, fontWeight: row.isCritical ? 700 : undefined }}
      >
        <StatusIcon status={standing(attempt)} size={13} />
        <span>
          {row.isCritical ? "◆ " : ""}
          {row.label}
          {attempt.attempt > 1 ? ` (${attempt.attempt})` : ""}
        </span>
      </button>
      {row.waited === null || row.waited.width === 0 ? null : (
        <span className="ff-bar" data-wait="true" style={bar(row.waited.from, row.waited.width)} />
      )}
      {row.ran === null ? null : (
        <span
          className="ff-bar"
          style={{
            ...bar(row.ran.from, row.ran.width),
            background: colourOf(standing(attempt)),
            outline: row.isCritical ? "2px solid var(--ff-waiting)" : undefined,
          }}
        />
      )}
    </div>
  );
}

function Legend() {
  return (
    <Group gap="sm" wrap="nowrap" visibleFrom="sm" aria-hidden>
      <Sign label="waiting" style={{ position: "static" }} isWait />
      <Sign label="running" style={{ position: "static", background: "var(--ff-completed)" }} />
      <Sign
        label="◆ critical path"
        style={{
          position: "static",
          background: "var(--ff-completed)",
          outline: "2px solid var(--ff-waiting)",
        }}
      />
    </Group>
  );
}

function Sign({
  label,
  style,
  isWait = false,
}: {
  label: string;
  style: React.CSSProperties;
  isWait?: boolean;
}) {
  return (
    <span
      style={{ display: "inline-flex", gap: 6, alignItems: "center", fontSize: 12, whiteSpace: "nowrap" }}
    >
      <span className="ff-bar" data-wait={isWait} style={{ width: 22, height: 11, ...style }} />
      {label}
    </span>
  );
}
