/* The few newest of each kind. */
import { Anchor, Progress, Stack, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { Link } from "react-router";
import type { Schemas } from "../../api/client";
import { isObject } from "../../api/narrow";
import { moveInList } from "../../shell/keys";
import { Shown } from "../../ui/Said";
import { StatusIcon } from "../../ui/Status";
import { took } from "../../ui/times";
import { useNow, When } from "../../ui/When";
import { soonest } from "./due";
import { SHOWN_COUNT, type Lists } from "./Overview";
import { Panel } from "./Panel";

export function Running({ of }: { of: Lists[1] }) {
  const now = useNow();
  return (
    <Panel title="Running now" to="/runs?status=running">
      <Shown of={of}>
        {({ items }) => (
          <Lines of={items} label="Running runs" none="Nothing runs at the moment.">
            {(run) => (
              <Line
                key={run.run_id}
                status={run.status}
                to={`/runs/${run.run_id}`}
                title={run.workflow_id}
                note={
                  run.progress.current_step === null
                    ? `by ${run.trigger.id}`
                    : `at ${run.progress.current_step}`
                }
                end={took(now - Date.parse(run.started_at ?? run.created_at))}
              >
                <Progress
                  value={run.progress.percent}
                  size={4}
                  w={70}
                  aria-label={`${run.progress.percent} percent done`}
                  visibleFrom="xs"
                />
              </Line>
            )}
          </Lines>
        )}
      </Shown>
    </Panel>
  );
}

export function Failed({ of }: { of: Lists[2] }) {
  return (
    <Panel title="Failed lately" to="/runs?status=failed">
      <Shown of={of}>
        {({ items }) => (
          <Lines of={items.toSorted(byEnd)} label="Failed runs" none="No run has failed. Good.">
            {(run) => (
              <Line
                key={run.run_id}
                status={run.status}
                to={`/runs/${run.run_id}`}
                title={run.workflow_id}
                note={messageOf(run)}
                end={<When at={run.completed_at ?? run.created_at} relative />}
              />
            )}
          </Lines>
        )}
      </Shown>
    </Panel>
  );
}

/** The list has them by their beginning; what failed last comes first here. */
function byEnd(one: Schemas["Run"], other: Schemas["Run"]): number {
  return (other.completed_at ?? other.created_at).localeCompare(one.completed_at ?? one.created_at);
}

function messageOf(run: Schemas["Run"]): string {
  const message = isObject(run.error) ? run.error["message"] : null;
  return typeof message === "string" ? message : `after ${took(run.duration_ms)}`;
}

export function Due({ of }: { of: Lists[4] }) {
  const now = useNow();
  return (
    <Panel title="Due next" to="/triggers?type=schedule" toLabel="All schedules">
      <Shown of={of}>
        {({ items }) => (
          <Lines
            of={soonest(items, now, SHOWN_COUNT)}
            label="What is due next"
            none="No schedule is enabled. A workflow's “Triggers” are where one is added."
          >
            {(one) => (
              <Line
                key={`${one.workflow_id} ${one.trigger_id}`}
                status="queued"
                to={`/workflows/${one.workflow_id}/triggers/${one.trigger_id}`}
                title={one.workflow_name}
                note={one.trigger_name === "" ? one.trigger_id : one.trigger_name}
                end={<When at={one.due_at} relative />}
              />
            )}
          </Lines>
        )}
      </Shown>
    </Panel>
  );
}

export function Waiting({ of }: { of: Lists[3] }) {
  return (
    <Panel title="Waiting for a person" to="/approvals">
      <Shown of={of}>
        {({ items }) => (
          <Lines of={items} label="Open approvals" none="No approval is open.">
            {(one) => (
              <Line
                key={one.position}
                status="waiting"
                to="/approvals"
                title={one.message === "" ? one.node_id : one.message}
                note={`${one.workflow_id} · ${one.node_id}`}
                end={<When at={one.requested_at} relative />}
              />
            )}
          </Lines>
        )}
      </Shown>
    </Panel>
  );
}

function Lines<T>({
  of,
  label,
  none,
  children,
}: {
  of: T[];
  label: string;
  none: string;
  children: (item: T) => ReactNode;
}) {
  if (of.length === 0)
    return (
      <Text size="sm" c="dimmed">
        {none}
      </Text>
    );
  return (
    // eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions -- arrows move between the links inside
    <ul className="ff-lines" aria-label={label} onKeyDown={moveInList}>
      {of.map(children)}
    </ul>
  );
}

interface LineProps {
  status: string;
  to: string;
  title: string;
  note: string;
  end: ReactNode;
  children?: ReactNode;
}

function Line({ status, to, title, note, end, children }: LineProps) {
  return (
    <li data-row className="ff-table-row">
      <StatusIcon status={status} />
      <Stack gap={0} style={{ minWidth: 0, flex: 1 }}>
        <Anchor component={Link} to={to} size="sm" fw={550} truncate>
          {title}
        </Anchor>
        <Text size="xs" c="dimmed" truncate>
          {note}
        </Text>
      </Stack>
      {children}
      <Text size="xs" c="dimmed" className="ff-number" component="span" style={{ whiteSpace: "nowrap" }}>
        {end}
      </Text>
    </li>
  );
}
