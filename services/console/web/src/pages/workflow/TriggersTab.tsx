/* What starts the workflow: triggers, each on its own, and the six types of job. */
import { Anchor, Group, Stack, Text, Title } from "@mantine/core";
import { Link } from "react-router";
import { api, type Schemas } from "../../api/client";
import { useMay } from "../../shell/session";
import { AddTrigger } from "../../triggers/AddTrigger";
import { triggerKindOf } from "../../triggers/kinds";
import { readTrigger, type Trigger } from "../../triggers/trigger";
import { Words } from "../../triggers/Words";
import { inWords } from "../../triggers/words";
import { Rows, type Column } from "../../ui/List";
import { Empty } from "../../ui/Said";
import { Status } from "../../ui/Status";
import { When } from "../../ui/When";
import { TriggerSwitch } from "../triggers/TriggerSwitch";
import { JobTypes } from "./JobTypes";
import type { TabProps } from "./Workflow";

const TRIGGERS_MAX = 1_000;

export function TriggersTab({ workflow }: TabProps) {
  const mayEdit = useMay("editor");
  const listed = api.useQuery("get", "/api/triggers", {
    params: { query: { workflow_id: workflow.id, limit: TRIGGERS_MAX } },
  });
  const triggers = workflow.triggers.map(readTrigger);
  const known = new Map((listed.data?.items ?? []).map((one) => [one.id, one]));
  const count = triggers.length;
  return (
    <Stack gap="lg">
      <section aria-labelledby="triggers-heading">
        <Group justify="space-between" align="flex-start" mb="xs">
          <div>
            <Title order={2} id="triggers-heading">
              Triggers ({count}): runs when ANY trigger fires
            </Title>
            <Text size="sm" c="dimmed" maw={700}>
              Each trigger fires independently of the others: none waits for another, and each that fires
              starts a run of its own. To start only when several things have happened, add one trigger on
              dependencies with “all”.
            </Text>
          </div>
          {mayEdit ? <AddTrigger workflowId={workflow.id} takenIds={triggers.map(({ id }) => id)} /> : null}
        </Group>
        {workflow.status === "active" ? null : (
          <Text size="sm" mb="xs" fw={550}>
            The workflow is not enabled: whatever fires is noted, and starts nothing.
          </Text>
        )}
        {count === 0 ? (
          <div className="ff-panel">
            <Empty title="Nothing starts it by itself yet">
              It can be run by hand. Add a trigger: by the clock, when an event comes, when another workflow
              ends.
            </Empty>
          </div>
        ) : (
          <div className="ff-panel ff-scroll">
            <Rows
              items={triggers}
              columns={columns(workflow.id, known)}
              row={({ id, type }) => ({ key: id, "data-testid": `trigger-row-${id}`, "data-type": type })}
              label="Triggers"
            />
          </div>
        )}
      </section>
      <JobTypes workflow={workflow} />
    </Stack>
  );
}

function columns(workflowId: string, known: Map<string, Schemas["ListedTrigger"]>): Column<Trigger>[] {
  return [
    { label: "Trigger", cell: (one) => <Named workflowId={workflowId} of={one} /> },
    {
      label: "Last fired",
      isExtra: true,
      width: 130,
      cell: ({ id }) => <LastFired workflowId={workflowId} triggerId={id} />,
    },
    {
      label: "Last decision",
      isExtra: true,
      width: 170,
      cell: ({ id }) => <LastDecision of={known.get(id)} />,
    },
    {
      label: "Next",
      isExtra: true,
      width: 120,
      cell: ({ id, type }) => {
        const at = known.get(id)?.next_at ?? null;
        if (at !== null) return <When at={at} relative />;
        return (
          <Text size="xs" c="dimmed">
            {type === "schedule" ? "not due" : "when it happens"}
          </Text>
        );
      },
    },
    {
      label: "On",
      width: 60,
      cell: ({ id, enabled }) => <TriggerSwitch workflowId={workflowId} triggerId={id} isOn={enabled} />,
    },
  ];
}

function Named({ workflowId, of }: { workflowId: string; of: Trigger }) {
  const kind = triggerKindOf(of.type);
  const Sign = kind.icon;
  return (
    <Group gap="sm" wrap="nowrap" align="flex-start">
      <Sign size={18} role="img" aria-label={kind.label} style={{ flexShrink: 0, marginTop: 2 }} />
      <div style={{ minWidth: 0 }}>
        <Anchor component={Link} to={`/workflows/${workflowId}/triggers/${of.id}`} fw={550} size="sm">
          {of.name === "" ? of.id : of.name}
        </Anchor>
        <Text size="xs" c="dimmed" component="div" maw={620}>
          <Words of={inWords(of)} />
        </Text>
      </div>
    </Group>
  );
}

function LastFired({ workflowId, triggerId }: { workflowId: string; triggerId: string }) {
  const stats = api.useQuery("get", "/api/workflows/{workflow_id}/triggers/{trigger_id}/stats", {
    params: { path: { workflow_id: workflowId, trigger_id: triggerId } },
  });
  if (stats.data === undefined) return <span>…</span>;
  if (stats.data.last_fired_at !== null) return <When at={stats.data.last_fired_at} relative />;
  return (
    <Text size="xs" c="dimmed">
      never
    </Text>
  );
}

function LastDecision({ of }: { of: Schemas["ListedTrigger"] | undefined }) {
  if (of === undefined || of.last_decision === null)
    return (
      <Text size="xs" c="dimmed">
        none yet
      </Text>
    );
  return (
    <div>
      <Status status={of.last_decision.decision} />
      <Text size="xs" c="dimmed">
        <When at={of.last_decision.decided_at} relative />
      </Text>
    </div>
  );
}
