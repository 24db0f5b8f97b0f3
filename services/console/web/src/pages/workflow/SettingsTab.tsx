/* How its runs behave, what they take and give, how long they are kept, who is told of them. */
import { Anchor, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import type { ReactNode } from "react";
import { Link } from "react-router";
import { api, type Schemas } from "../../api/client";
import { Facts } from "../../ui/Facts";
import { Json } from "../../ui/Json";
import { Rows } from "../../ui/List";
import { Shown } from "../../ui/Said";
import { Status } from "../../ui/Status";
import { When } from "../../ui/When";
import { settingsInWords } from "./settingsInWords";
import type { TabProps } from "./Workflow";

const SUBSCRIPTIONS_MAX = 1_000;

export function SettingsTab({ workflow }: TabProps) {
  return (
    <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md">
      <Part title="Runs">
        <Facts of={settingsInWords(workflow.settings)} />
      </Part>
      <Part title="About it">
        <Facts
          of={[
            [
              "Id",
              <code key="id" className="ff-mono">
                {workflow.id}
              </code>,
            ],
            ["Experiment", workflow.experiment_id ?? "none"],
            ["Made", <When key="made" at={workflow.created_at} />],
            ["By", workflow.created_by ?? "–"],
            ["Last saved", <When key="saved" at={workflow.updated_at} />],
            ["Nodes, edges", `${workflow.nodes.length}, ${workflow.edges.length}`],
          ]}
        />
      </Part>
      <Part title="Variables">
        <Variables of={workflow.variables} />
      </Part>
      <Part title="Kept">
        <Kept />
      </Part>
      <Part title="Input">
        {workflow.input_schema === null ? (
          <Said>Anything is taken as input: there is no schema.</Said>
        ) : (
          <Json value={workflow.input_schema} label="Schema of the input" />
        )}
      </Part>
      <Part title="Output">
        {workflow.output_mapping === null ? (
          <Said>The output of a run is that of its last nodes.</Said>
        ) : (
          <Json value={workflow.output_mapping} label="Mapping of the output" />
        )}
      </Part>
      <Part title="Who is told of its runs">
        <Told workflowId={workflow.id} />
      </Part>
    </SimpleGrid>
  );
}

function Part({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className="ff-panel" style={{ padding: "12px 16px", minWidth: 0 }} aria-label={title}>
      <Title order={2} mb="xs">
        {title}
      </Title>
      {children}
    </section>
  );
}

function Said({ children }: { children: ReactNode }) {
  return (
    <Text size="sm" c="dimmed" component="div">
      {children}
    </Text>
  );
}

function Variables({ of }: { of: Schemas["Variable"][] }) {
  if (of.length === 0) return <Said>It has none.</Said>;
  return (
    <Rows
      items={of}
      label="Variables"
      row={({ name }) => ({ key: name })}
      columns={[
        { label: "Name", cell: ({ name }) => <code className="ff-mono">{name}</code> },
        {
          label: "Default",
          cell: ({ default_value: value }) => <code className="ff-mono">{JSON.stringify(value)}</code>,
        },
        { label: "What for", isExtra: true, cell: ({ description }) => description },
      ]}
    />
  );
}

/** The same for all workflows. */
function Kept() {
  const retention = api.useQuery("get", "/api/retention", {}, { staleTime: 60_000 });
  const days = (count: number | null) => (count === null ? "for ever" : `${count} days`);
  return (
    <Shown of={retention}>
      {(kept) => (
        <Stack gap="xs">
          <Facts
            of={[
              [
                "Runs",
                kept.runs_days === null
                  ? "in the log, for ever"
                  : `${days(kept.runs_days)}, then in archives`,
              ],
              ["Lines of jobs", days(kept.log_lines_days)],
              ["Decisions", days(kept.decisions_days)],
            ]}
          />
          <Said>This holds for the whole installation; it is set where FlowForge is started.</Said>
        </Stack>
      )}
    </Shown>
  );
}

function Told({ workflowId }: { workflowId: string }) {
  const subscriptions = api.useQuery("get", "/api/subscriptions", {
    params: { query: { limit: SUBSCRIPTIONS_MAX } },
  });
  return (
    <Shown of={subscriptions}>
      {({ items }) => {
        const own = items.filter(({ filter }) => (filter.workflow_id ?? workflowId) === workflowId);
        if (own.length === 0)
          return (
            <Said>
              Nobody outside. Under{" "}
              <Anchor component={Link} to="/people?tab=outgoing" size="sm" underline="always">
                Outgoing
              </Anchor>{" "}
              stands who is told of runs, by HTTP.
            </Said>
          );
        return (
          <Rows
            items={own}
            label="Subscriptions"
            row={({ id }) => ({ key: id })}
            columns={[
              { label: "Name", cell: ({ id, name }) => (name === "" ? id : name) },
              {
                label: "Of",
                isExtra: true,
                cell: ({ filter }) => (filter.workflow_id == null ? "all workflows" : "this one"),
              },
              { label: "State", cell: ({ status }) => <Status status={status} /> },
            ]}
          />
        );
      }}
    </Shown>
  );
}
