/* Why the run is there, back to the first cause, and what came of it. */
import { Anchor, Text, Title } from "@mantine/core";
import { Link } from "react-router";
import { api, type Schemas } from "../../api/client";
import { byCursor, PAGE_SIZE } from "../../api/pages";
import { Empty, Shown } from "../../ui/Said";
import { List, type Column } from "../../ui/List";
import { Status } from "../../ui/Status";
import { When } from "../../ui/When";
import { runOf } from "../../triggers/causes";
import { RunLink } from "../../ui/RunLink";
import { shortId } from "../../ui/shortId";
import type { SeenRun } from "./seen";

export default function CausesTab({ run }: SeenRun) {
  const params = { params: { path: { run_id: run.run_id } } };
  const causes = api.useQuery("get", "/api/runs/{run_id}/causes", params);
  const effects = api.useInfiniteQuery(
    "get",
    "/api/runs/{run_id}/effects",
    { params: { ...params.params, query: { limit: PAGE_SIZE } } },
    byCursor,
  );
  return (
    <div className="ff-cards">
      <section className="ff-panel">
        <Title order={2} fz="md" mb="xs">
          Why it is there
        </Title>
        <Shown of={causes}>{({ items }) => <Chain runs={items} own={run.run_id} />}</Shown>
      </section>
      <section className="ff-panel">
        <Title order={2} fz="md" mb="xs">
          What came of it
        </Title>
        <List
          of={effects}
          columns={EFFECTS}
          row={(one) => ({ key: one.run_id, "data-testid": `effect-${one.run_id}` })}
          label="effects"
          empty={
            <Empty title="Nothing, so far">
              Runs that it starts, by a node, by its end or as a fork, appear here.
            </Empty>
          }
        />
      </section>
    </div>
  );
}

/** The first cause on top, the run itself below. */
function Chain({ runs, own }: { runs: Schemas["CausedRun"][]; own: string }) {
  const downward = [...runs].reverse();
  return (
    <ol style={{ listStyle: "none", margin: 0, padding: 0 }} aria-label="Chain of causes">
      {downward.map((one) => (
        <li key={one.run_id} style={{ marginBottom: 4 }}>
          <Cause of={one} />
          <div
            className="ff-panel"
            style={{
              padding: "8px 12px",
              borderColor: one.run_id === own ? "var(--mantine-color-anchor)" : undefined,
            }}
          >
            <Text size="sm" component="div">
              <b>
                <Anchor component={Link} to={`/workflows/${one.workflow_id}`} size="sm">
                  {one.workflow_id}
                </Anchor>
              </b>{" "}
              run {one.run_id === own ? <b>this one</b> : <RunLink runId={one.run_id} />}
            </Text>
            <Text size="xs" c="dimmed" component="div">
              <When at={one.created_at} />
            </Text>
          </div>
        </li>
      ))}
    </ol>
  );
}

function Cause({ of: { trigger, cause, workflow_id: workflowId } }: { of: Schemas["CausedRun"] }) {
  const by = trigger.id === trigger.type || trigger.type === "fork" ? trigger.type : trigger.id;
  const hasPage =
    !["manual", "fork", "workflow", "child"].includes(trigger.type) || trigger.id !== trigger.type;
  const origin = runOf(cause.source);
  return (
    <Text size="sm" component="div" style={{ padding: "4px 12px" }}>
      ↓ event{" "}
      <Anchor component={Link} to={`/events/${cause.event_id}`} size="sm">
        {cause.type}
      </Anchor>{" "}
      <span style={{ color: "var(--mantine-color-dimmed)", overflowWrap: "anywhere" }}>
        {origin === null ? `from ${cause.source}` : `of run ${shortId(origin)}`}
      </span>
      {", trigger "}
      {hasPage && trigger.type !== "fork" ? (
        <Anchor
          component={Link}
          to={`/workflows/${workflowId}/triggers/${trigger.id}?cause=${cause.event_id}`}
          size="sm"
        >
          {by}
        </Anchor>
      ) : (
        by
      )}{" "}
      ({trigger.type})
    </Text>
  );
}

const EFFECTS: Column<Schemas["EffectRun"]>[] = [
  { label: "Run", cell: (one) => <RunLink runId={one.run_id} /> },
  { label: "Workflow", cell: (one) => one.workflow_id },
  { label: "State", cell: (one) => <Status status={one.status} /> },
  {
    label: "How",
    isExtra: true,
    cell: (one) => (
      <>
        {one.relation}
        {one.step === 1 ? "" : `, step ${one.step}, by `}
        {one.step === 1 ? null : <RunLink runId={one.caused_by_run_id} />}
      </>
    ),
  },
  { label: "When", isExtra: true, cell: (one) => <When at={one.created_at} /> },
];
