/* The lines that the run's jobs wrote, as they come. */
import { Button, Group, Select, Switch, Text } from "@mantine/core";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useMemo, useRef, useState } from "react";
import type { Schemas } from "../../api/client";
import { Empty, Failed, Loading } from "../../ui/Said";
import { count, local, utc } from "../../ui/times";
import type { SeenRun } from "./seen";
import { useLines } from "./useLines";
import { ENDED } from "./useRun";

type Line = Schemas["LogLine"];
const LINE_PX = 21;

export default function LogsTab({ run, now, at, shape, chosen }: SeenRun) {
  const isLive = !ENDED.has(now.status);
  const nodeId = chosen.nodeId;
  const { lines, isPending, error, hasMore, more } = useLines(run.run_id, nodeId, isLive);
  const then = run.as_of?.at ?? null;
  const shown = useMemo(
    () => (then === null ? lines : lines.filter((line) => line.at <= then)),
    [lines, then],
  );
  const nodeIds = useMemo(
    () =>
      [shape.nodes, ...Object.values(shape.bodies).map((body) => body.nodes)]
        .flat()
        .map((one) => one.node_id),
    [shape],
  );
  const [isFollowing, setFollowing] = useState(isLive && at === null);
  return (
    <div className="ff-panel" style={{ height: "100%", display: "flex", flexDirection: "column" }}>
      <Group p="xs" gap="md" style={{ borderBottom: "1px solid var(--ff-line)" }}>
        <Select
          size="xs"
          placeholder="of every node"
          aria-label="Only of this node"
          data={nodeIds}
          value={nodeId}
          clearable
          searchable
          limit={60}
          onChange={(id) => chosen.choose({ nodeId: id, instance: null, view: null })}
        />
        <Switch
          size="xs"
          label="Follow"
          checked={isFollowing}
          onChange={(event) => setFollowing(event.currentTarget.checked)}
        />
        <Text size="xs" c="dimmed" ml="auto" className="ff-number">
          {count(shown.length)} {shown.length === 1 ? "line" : "lines"}
          {hasMore ? " so far" : ""}
        </Text>
        {hasMore ? (
          <Button size="compact-xs" variant="default" onClick={more}>
            Show more
          </Button>
        ) : null}
      </Group>
      {error !== null && lines.length === 0 ? (
        <Failed error={error} />
      ) : isPending ? (
        <Loading what="Loading the log" />
      ) : shown.length === 0 ? (
        <Empty
          title={nodeId === null ? "No lines yet" : `${nodeId} wrote no lines`}
          action={
            nodeId === null ? undefined : (
              <Button
                size="compact-sm"
                variant="default"
                onClick={() => chosen.choose({ nodeId: null, instance: null, view: null })}
              >
                Show those of every node
              </Button>
            )
          }
        >
          What scripts and jobs print appears here as it comes.
        </Empty>
      ) : (
        <Lines lines={shown} isFollowing={isFollowing} onScrolledUp={() => setFollowing(false)} />
      )}
    </div>
  );
}

interface LinesProps {
  lines: Line[];
  isFollowing: boolean;
  onScrolledUp: () => void;
}

function Lines({ lines, isFollowing, onScrolledUp }: LinesProps) {
  const place = useRef<HTMLDivElement>(null);
  // eslint-disable-next-line react-hooks/incompatible-library -- its rows are drawn in this component only
  const rows = useVirtualizer({
    count: lines.length,
    getScrollElement: () => place.current,
    estimateSize: () => LINE_PX,
    overscan: 20,
  });
  useEffect(() => {
    const element = place.current;
    if (isFollowing && element !== null) element.scrollTop = element.scrollHeight;
  }, [isFollowing, lines.length]);
  return (
    <div
      ref={place}
      className="ff-scroll"
      style={{ flex: 1, minHeight: 0, padding: "6px 0" }}
      tabIndex={0}
      role="region"
      aria-label="Log lines"
      data-testid="log-lines"
      onWheel={(event) => {
        if (event.deltaY < 0) onScrolledUp();
      }}
    >
      <div style={{ height: rows.getTotalSize(), position: "relative" }}>
        {rows.getVirtualItems().map((item) => {
          const line = lines[item.index];
          return line === undefined ? null : (
            <div
              key={item.key}
              ref={rows.measureElement}
              data-index={item.index}
              className="ff-line"
              style={{ position: "absolute", top: item.start, left: 0, right: 0 }}
            >
              <time dateTime={line.at} title={utc(line.at)} className="ff-number">
                {local(line.at)}
              </time>
              <span title={`attempt ${line.attempt}`}>
                {line.node_id}
                {line.instance === "" ? "" : ` #${line.instance}`}
                {line.attempt > 1 ? ` (${line.attempt})` : ""}
              </span>
              <span className="ff-mono">{line.text}</span>
            </div>
          );
        })}
      </div>
    </div>
  );
}
