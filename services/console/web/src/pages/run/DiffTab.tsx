/* What is otherwise than in another run: of a fork, its origin. */
import { Anchor, Group, Select, Switch, Text, Title } from "@mantine/core";
import { useState, type ReactNode } from "react";
import { Link, useSearchParams } from "react-router";
import { api, type Schemas } from "../../api/client";
import { fieldsOf, textOf } from "../../api/narrow";
import { Json } from "../../ui/Json";
import { Empty, Shown } from "../../ui/Said";
import { Status } from "../../ui/Status";
import { local, took } from "../../ui/times";
import { changedWords } from "./changed";
import { Fault } from "./Fault";
import { RunLink } from "../../ui/RunLink";
import { shortId } from "../../ui/shortId";
import type { SeenRun } from "./seen";
import { ENDED, type Run } from "./useRun";

const READ_EACH_MS = 1_500;
const OFFERED_MAX = 50;

export default function DiffTab({ now: run }: SeenRun) {
  const [search, setSearch] = useSearchParams();
  const origin = textOf(fieldsOf(run.forked_from)["run_id"]);
  const other = search.get("with") ?? origin;
  const choose = (runId: string) =>
    setSearch((before) => {
      before.set("with", runId);
      return before;
    });
  return (
    <>
      <Group mb="sm" align="flex-end">
        <Other run={run} other={other} onChoose={choose} />
      </Group>
      {other === null ? (
        <Empty title="Compare it with another run">
          Choose one above. A fork is compared with its origin by itself.
        </Empty>
      ) : (
        <Compared run={run} other={other} />
      )}
    </>
  );
}

function Other({
  run,
  other,
  onChoose,
}: {
  run: Run;
  other: string | null;
  onChoose: (runId: string) => void;
}) {
  const query = { workflow_id: run.workflow_id, limit: OFFERED_MAX };
  const runs = api.useQuery("get", "/api/runs", { params: { query } });
  const items = runs.data?.items.filter((one) => one.run_id !== run.run_id) ?? [];
  const data = items.map((one) => ({
    value: one.run_id,
    label: `${shortId(one.run_id)} · ${one.status} · ${local(one.created_at)}`,
  }));
  if (other !== null && items.every((one) => one.run_id !== other))
    data.push({ value: other, label: shortId(other) });
  return (
    <Select
      w={360}
      maw="100%"
      label="Compare with run"
      placeholder="choose a run of this workflow"
      data={data}
      value={other}
      searchable
      onChange={(value) => {
        if (value !== null) onChoose(value);
      }}
    />
  );
}

function Compared({ run, other }: { run: Run; other: string }) {
  const [isAll, setAll] = useState(false);
  const diff = api.useQuery(
    "get",
    "/api/runs/{run_id}/diff",
    { params: { path: { run_id: other }, query: { with: run.run_id } } },
    { refetchInterval: ENDED.has(run.status) ? false : READ_EACH_MS },
  );
  return (
    <Shown of={diff}>
      {(found) => {
        const changed = found.nodes.filter((node) => node.changed.length > 0);
        const nodes = isAll ? found.nodes : changed;
        return (
          <div data-testid="run-diff">
            <Group gap="lg" mb="sm">
              <Text size="sm" component="div">
                Left: <RunLink runId={other} />
                {found.is_fork ? ", the origin" : ""} ({took(found.duration_ms)}). Right: this run (
                {took(found.with_duration_ms)}).
              </Text>
              <Switch
                size="xs"
                label="Show nodes in which nothing changed"
                checked={isAll}
                onChange={(event) => setAll(event.currentTarget.checked)}
              />
            </Group>
            {found.fields.length === 0 && changed.length === 0 ? (
              <Empty title="Nothing is otherwise">
                Both runs have the same states, inputs, outputs and errors.
              </Empty>
            ) : null}
            {found.fields.map((field) => (
              <Pair
                key={field.field}
                title={field.field.replaceAll("_", " ")}
                before={<Value field={field.field} of={field.before} label={`${field.field} before`} />}
                after={<Value field={field.field} of={field.after} label={`${field.field} after`} />}
              />
            ))}
            {nodes.map((node) => (
              <NodeChange key={node.node_id} node={node} run={run} other={other} />
            ))}
          </div>
        );
      }}
    </Shown>
  );
}

function NodeChange({ node, run, other }: { node: Schemas["NodeDiff"]; run: Run; other: string }) {
  const link = (runId: string) => `/runs/${runId}?node=${node.node_id}`;
  return (
    <Pair
      title={node.node_id}
      testId={`diff-${node.node_id}`}
      words={changedWords(node)}
      before={
        <Side of={node.before} changed={node.changed} to={link(other)} label={`${node.node_id} before`} />
      }
      after={
        <Side of={node.after} changed={node.changed} to={link(run.run_id)} label={`${node.node_id} after`} />
      }
    />
  );
}

function Side(props: { of: Schemas["Side"] | null; changed: string[]; to: string; label: string }) {
  const { of, changed, to, label } = props;
  if (of === null)
    return (
      <Text size="sm" c="dimmed">
        not there
      </Text>
    );
  return (
    <>
      <Group gap="sm" mb={4}>
        <Status status={of.status} />
        <Text size="xs" c="dimmed">
          {took(of.duration_ms)}
          {of.attempt > 1 ? `, attempt ${of.attempt}` : ""}
        </Text>
        <Anchor component={Link} to={to} size="xs">
          see it
        </Anchor>
      </Group>
      {(["input", "output", "error"] as const)
        .filter((name) => changed.includes(name))
        .map((name) => (
          <div key={name}>
            <Text size="xs" c="dimmed">
              {name}
            </Text>
            <Value field={name} of={of[name]} label={`${name} of ${label}`} />
          </div>
        ))}
    </>
  );
}

interface PairProps {
  title: string;
  words?: string;
  testId?: string;
  before: ReactNode;
  after: ReactNode;
}

function Pair({ title, words, testId, before, after }: PairProps) {
  return (
    <section className="ff-panel" style={{ padding: 12, marginBottom: 8 }} data-testid={testId}>
      <Title order={2} fz="sm" mb={6}>
        {title}{" "}
        {words === undefined ? null : (
          <Text span size="xs" c="dimmed" fw={400}>
            {words}
          </Text>
        )}
      </Title>
      <div className="ff-sides">
        <div>{before}</div>
        <div>{after}</div>
      </div>
    </section>
  );
}

function Value({ of, label, field }: { of: unknown; label: string; field: string }) {
  if (field === "status" && typeof of === "string") return <Status status={of} />;
  if (field === "error" && of !== null) return <Fault error={of} />;
  return typeof of === "string" ? <Text size="sm">{of}</Text> : <Json value={of} label={label} />;
}
