/* How a workflow stands in the list. */
import { ActionIcon, Anchor, Badge, Group, Stack, Text, Tooltip } from "@mantine/core";
import { IconPlayerPlay } from "@tabler/icons-react";
import { Link } from "react-router";
import type { Schemas } from "../../api/client";
import { EnabledSwitch } from "../../definition/EnabledSwitch";
import type { WorkflowStatus } from "../../definition/useStatus";
import { percent } from "../../ui/hours";
import type { Column } from "../../ui/List";
import { RunBars } from "../../ui/RunBars";
import { Status } from "../../ui/Status";
import { count } from "../../ui/times";
import { When } from "../../ui/When";

type Activity = Schemas["WorkflowActivity"];

/** `onRun` is null for those who may not run anything. */
export function columns(
  onRun: ((id: string) => void) | null,
  onTag: (tag: string) => void,
): Column<Activity>[] {
  return [
    { label: "Workflow", cell: (one) => <Name of={one} onTag={onTag} /> },
    { label: "Last runs", isExtra: true, width: 210, cell: (one) => <LastRuns of={one} /> },
    {
      label: "Success, 7 d",
      isExtra: true,
      align: "right",
      width: 130,
      cell: ({ counts }) => (
        <Tooltip
          label={`${count(counts.completed)} completed, ${count(counts.failed)} failed, ${count(counts.partial)} partial`}
        >
          <span className="ff-number">{percent(counts.success_rate)}</span>
        </Tooltip>
      ),
    },
    { label: "Next", isExtra: true, width: 130, cell: (one) => <Next of={one} /> },
    {
      label: "Enabled",
      width: 80,
      cell: ({ workflow_id, name, status }) => (
        <EnabledSwitch workflowId={workflow_id} name={name} status={status as WorkflowStatus} />
      ),
    },
    ...(onRun === null
      ? []
      : [{ label: "Run", width: 56, cell: (one: Activity) => <RunButton of={one} onRun={onRun} /> }]),
  ];
}

function Name({ of, onTag }: { of: Activity; onTag: (tag: string) => void }) {
  return (
    <Stack gap={1}>
      <Group gap="xs">
        <Anchor component={Link} to={`/workflows/${of.workflow_id}`} fw={550} size="sm">
          {of.name}
        </Anchor>
        {of.status === "archived" ? <Status status="archived" /> : null}
        {of.tags.map((tag) => (
          <Badge
            key={tag}
            component="button"
            variant="default"
            size="sm"
            tt="none"
            fw={500}
            style={{ cursor: "pointer" }}
            onClick={() => onTag(tag)}
            aria-label={`${tag}: only those with this tag`}
          >
            {tag}
          </Badge>
        ))}
      </Group>
      <Text size="xs" c="dimmed" lineClamp={1}>
        {of.workflow_id}
        {of.description === "" ? "" : ` · ${of.description}`}
      </Text>
    </Stack>
  );
}

function LastRuns({ of }: { of: Activity }) {
  if (of.last_runs.length === 0)
    return (
      <Text size="xs" c="dimmed">
        never ran
      </Text>
    );
  return (
    <Group gap={8} wrap="nowrap">
      <RunBars runs={of.last_runs} />
      {of.active_runs === 0 ? null : (
        <Anchor
          component={Link}
          to={`/workflows/${of.workflow_id}/runs`}
          size="xs"
          className="ff-number"
          style={{ whiteSpace: "nowrap" }}
          aria-label={`${of.active_runs} active runs of ${of.name}`}
        >
          {count(of.active_runs)} active
        </Anchor>
      )}
    </Group>
  );
}

function Next({ of }: { of: Activity }) {
  if (of.next_firing !== null)
    return (
      <Anchor
        component={Link}
        to={`/workflows/${of.workflow_id}/triggers/${of.next_firing.trigger_id}`}
        size="sm"
      >
        <When at={of.next_firing.due_at} relative />
      </Anchor>
    );
  return (
    <Text size="xs" c="dimmed">
      {of.triggers_enabled_count === 0 ? "by hand" : "when it fires"}
    </Text>
  );
}

function RunButton({ of, onRun }: { of: Activity; onRun: (id: string) => void }) {
  return (
    <Tooltip label="Run">
      <ActionIcon
        variant="subtle"
        onClick={() => onRun(of.workflow_id)}
        aria-label={`Run ${of.name}`}
        data-testid={`run-${of.workflow_id}`}
      >
        <IconPlayerPlay size={17} />
      </ActionIcon>
    </Tooltip>
  );
}
