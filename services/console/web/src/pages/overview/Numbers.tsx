/* The most important numbers, each a way to its list. */
import { SimpleGrid, Text, UnstyledButton } from "@mantine/core";
import { Link } from "react-router";
import { StatusIcon } from "../../ui/Status";
import { sumOf } from "../../ui/hours";
import { ago, count } from "../../ui/times";
import { useNow } from "../../ui/When";
import { soonest } from "./due";
import type { Lists } from "./Overview";

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

interface NumbersProps {
  stats: Lists[0];
  failed: Lists[2];
  due: Lists[4];
  system: Lists[5];
}

export function Numbers({ stats, due, system }: NumbersProps) {
  const now = useNow();
  const since = new Date(Math.floor((now - DAY_MS) / HOUR_MS) * HOUR_MS).toISOString();
  const ended = sumOf((stats.data?.usage.hours ?? []).filter(({ hour }) => hour >= since));
  const runs = stats.data?.runs ?? {};
  const next = soonest(due.data?.items ?? [], now, 1)[0];
  const waits = (runs["pending"] ?? 0) + (runs["paused"] ?? 0);
  return (
    <SimpleGrid cols={{ base: 2, xs: 3, md: 6 }} spacing="sm">
      <Tile
        label="Running now"
        value={count(runs["running"] ?? 0)}
        note={waits === 0 ? "none waits to start" : `${count(waits)} queued or paused`}
        status="running"
        to="/runs?status=running"
      />
      <Tile
        label="Failed, last 24 h"
        value={count(ended.failed)}
        note={`of ${count(ended.completed + ended.failed + ended.other)} that ended`}
        status={ended.failed > 0 ? "failed" : "completed"}
        to={`/runs?status=failed&since=${encodeURIComponent(since)}`}
      />
      <Tile
        label="Approvals"
        value={count(system.data?.open_approvals)}
        note={system.data?.open_approvals === 0 ? "nobody is waited for" : "wait for a person"}
        status={system.data?.open_approvals === 0 ? "completed" : "waiting"}
        to="/approvals"
      />
      <Tile
        label="Dead letters"
        value={count(system.data?.open_dead_letters)}
        note={system.data?.open_dead_letters === 0 ? "nothing was put aside" : "could not be handled"}
        status={system.data?.open_dead_letters === 0 ? "completed" : "failed"}
        to="/dead-letters"
      />
      <Tile
        label="Due next"
        value={next === undefined ? "–" : ago(next.due_at, now)}
        note={next === undefined ? "no schedule is enabled" : next.workflow_name}
        status="queued"
        to={
          next === undefined
            ? "/triggers?type=schedule"
            : `/workflows/${next.workflow_id}/triggers/${next.trigger_id}`
        }
      />
      <Tile
        label="Workflows"
        value={count(stats.data?.workflows["active"] ?? 0)}
        note={`enabled, ${count(stats.data?.workflows["draft"] ?? 0)} not`}
        status="active"
        to="/workflows?status=active"
      />
    </SimpleGrid>
  );
}

function Tile({
  label,
  value,
  note,
  status,
  to,
}: {
  label: string;
  value: string;
  note: string;
  status: string;
  to: string;
}) {
  return (
    <UnstyledButton
      component={Link}
      to={to}
      className="ff-panel ff-tile"
      data-testid={`number-${label.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-")}`}
    >
      <Text size="xs" c="dimmed" component="span" style={{ display: "flex", gap: 6, alignItems: "center" }}>
        <StatusIcon status={status} size={14} /> {label}
      </Text>
      <Text fz={24} fw={650} lh={1.25} className="ff-number" component="span" truncate display="block">
        {value}
      </Text>
      <Text size="xs" c="dimmed" component="span" truncate display="block">
        {note}
      </Text>
    </UnstyledButton>
  );
}
