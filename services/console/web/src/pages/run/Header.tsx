/* What the run is: where it comes from, how it stands, what belongs to it. */
import { Anchor, Badge, Group, Progress, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { Link } from "react-router";
import { api } from "../../api/client";
import { fieldsOf, pairsOf, textOf } from "../../api/narrow";
import { count, took } from "../../ui/times";
import { useNow, When } from "../../ui/When";
import { ENDED, type Run } from "./useRun";

/** The last digits of a run's id: the first ones are its time, and much the same in neighbours. */
export function shortId(runId: string): string {
  return runId.slice(-8);
}

export function Marks({ run }: { run: Run }) {
  const origin = textOf(fieldsOf(run.forked_from)["run_id"]);
  return (
    <>
      {run.shadow ? (
        <Mark title="It touches nothing outside: what its nodes would do is taken from history">shadow</Mark>
      ) : null}
      {origin === null ? null : <Mark>fork</Mark>}
      {run.retries > 0 ? <Mark>retried {count(run.retries)}×</Mark> : null}
      {run.archive == null ? null : <Mark title={`Its history is in ${run.archive}`}>archived</Mark>}
      {run.sla_missed_at == null ? null : <Mark colour="var(--ff-failed)">SLA missed</Mark>}
    </>
  );
}

function Mark({ children, title, colour }: { children: ReactNode; title?: string; colour?: string }) {
  return (
    <Badge
      variant="outline"
      tt="none"
      title={title}
      style={{ color: colour ?? "var(--ff-partial)", borderColor: "currentcolor", background: "transparent" }}
    >
      {children}
    </Badge>
  );
}

export function RunFacts({ run }: { run: Run }) {
  return (
    <dl className="ff-strip" data-testid="run-facts">
      <Fact name="Workflow">
        <Anchor component={Link} to={`/workflows/${run.workflow_id}`} size="sm">
          {run.workflow_id}
        </Anchor>{" "}
        version {run.workflow_version}
      </Fact>
      <Fact name="Started by">
        <Origin run={run} />
      </Fact>
      {run.actor === null ? null : <Fact name="Who">{run.actor}</Fact>}
      <Fact name="Created">
        <When at={run.created_at} />
      </Fact>
      <Fact name="Took">
        <Took run={run} />
      </Fact>
      {run.priority === 0 ? null : <Fact name="Priority">{run.priority}</Fact>}
      {run.from_node === null ? null : <Fact name="From node">{run.from_node}</Fact>}
      <Relatives run={run} />
      {pairsOf(run.labels).map(([name, value]) => (
        <Fact key={name} name={name}>
          <Anchor component={Link} to={`/runs?label=${encodeURIComponent(`${name}=${value}`)}`} size="sm">
            {value}
          </Anchor>
        </Fact>
      ))}
    </dl>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** Runs that no trigger of the workflow's own started have no decision to show. */
const WITHOUT_DECISION = new Set(["fork", "workflow", "child"]);

function Origin({ run }: { run: Run }) {
  const { type, id } = run.trigger;
  const words = id === type || id === "" ? type : `${id} (${type})`;
  const origin = textOf(fieldsOf(run.forked_from)["run_id"]);
  if (origin !== null)
    return (
      <>
        fork of <RunLink runId={origin} />
      </>
    );
  if (run.parent_run_id !== null || WITHOUT_DECISION.has(type) || id === type) return <>{words}</>;
  const to = `/workflows/${run.workflow_id}/triggers/${id}?cause=${run.cause.event_id}`;
  return (
    <Anchor component={Link} to={to} size="sm" title="Why it fired">
      {words}
    </Anchor>
  );
}

export function RunLink({ runId }: { runId: string }) {
  return (
    <Anchor component={Link} to={`/runs/${runId}`} size="sm" className="ff-mono" title={runId}>
      {shortId(runId)}
    </Anchor>
  );
}

function Took({ run }: { run: Run }) {
  const isUnderWay = run.started_at !== null && !ENDED.has(run.status) && run.as_of === undefined;
  const now = useNow(isUnderWay);
  if (run.started_at === null) return <>–</>;
  if (run.as_of !== undefined && run.completed_at === null)
    return (
      <span className="ff-number">{took(Date.parse(run.as_of.at) - Date.parse(run.started_at))} by then</span>
    );
  if (isUnderWay)
    return <span className="ff-number">{took(Math.max(0, now - Date.parse(run.started_at)))} so far</span>;
  return <span className="ff-number">{took(run.duration_ms)}</span>;
}

function Relatives({ run }: { run: Run }) {
  const children = api.useQuery(
    "get",
    "/api/runs",
    { params: { query: { parent_run_id: run.run_id, limit: 50 } } },
    { staleTime: 5_000 },
  );
  const items = children.data?.items ?? [];
  return (
    <>
      {run.parent_run_id === null ? null : (
        <Fact name="Parent">
          <RunLink runId={run.parent_run_id} />
          {run.parent_node_id === null ? null : ` at ${run.parent_node_id}`}
        </Fact>
      )}
      {items.length === 0 ? null : (
        <Fact name="Children">
          {items.slice(0, 3).map((child) => (
            <span key={child.run_id}>
              <RunLink runId={child.run_id} />{" "}
            </span>
          ))}
          {items.length > 3 ? (
            <Anchor component={Link} to={`/runs/${run.run_id}/causes`} size="sm">
              {items.length === 50 ? "50 or more" : items.length} in all
            </Anchor>
          ) : null}
        </Fact>
      )}
    </>
  );
}

export function ProgressLine({ run }: { run: Run }) {
  if (ENDED.has(run.status) || run.status === "pending") return null;
  const { completed_nodes: done, total_nodes: all, percent, current_step: step } = run.progress;
  const estimate = run.estimate ?? null;
  return (
    <Group gap="sm" wrap="nowrap">
      <Progress
        value={percent}
        style={{ flex: 1, maxWidth: 420 }}
        size="sm"
        aria-label={`Progress: ${percent} %`}
      />
      <Text size="xs" className="ff-number" c="dimmed" component="div">
        {count(done)} of {count(all)} {all === 1 ? "node" : "nodes"}
        {step === null ? "" : ` · ${step}`}
        {estimate === null
          ? ""
          : ` · about ${took(estimate.remaining_ms)} left (${took(estimate.low_ms)} to ${took(estimate.high_ms)}, from ${count(estimate.based_on_runs)} runs)`}
      </Text>
    </Group>
  );
}
