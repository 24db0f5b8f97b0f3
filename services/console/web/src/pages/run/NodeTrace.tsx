/* What a node did: its attempts, and the lines that they wrote. */
import { Anchor, Text, Title } from "@mantine/core";
import { Link } from "react-router";
import { api, type Schemas } from "../../api/client";
import { errorOf } from "../../api/narrow";
import { Status } from "../../ui/Status";
import { took } from "../../ui/times";
import { When } from "../../ui/When";
import { standing } from "./gantt";
import { ENDED, type Run } from "./useRun";

const READ_EACH_MS = 1_000;
const LINES_SHOWN = 200;

interface TraceProps {
  run: Run;
  nodeId: string;
  instance: string | null;
  /** Only what was there then; null is all of it. */
  then: string | null;
}

function usePace(run: Run, then: string | null): number | false {
  return ENDED.has(run.status) || then !== null ? false : READ_EACH_MS;
}

export function NodeAttempts({ run, nodeId, instance, then }: TraceProps) {
  const query = api.useQuery(
    "get",
    "/api/runs/{run_id}/timeline",
    { params: { path: { run_id: run.run_id } } },
    { refetchInterval: usePace(run, then) },
  );
  const attempts = (query.data?.items ?? []).filter(
    (one) =>
      one.node_id === nodeId &&
      one.instance === (instance ?? "") &&
      (then === null || (one.queued_at ?? one.started_at ?? "") <= then),
  );
  if (attempts.length < 2) return null;
  return (
    <section>
      <Title order={3} fz="sm" mb={4}>
        Attempts
      </Title>
      {attempts.map((one) => (
        <Attempt key={one.position} of={one} />
      ))}
    </section>
  );
}

function Attempt({ of }: { of: Schemas["Attempt"] }) {
  const error = errorOf(of.error);
  return (
    <Text size="sm" component="div" mb={4}>
      <b>{of.attempt}</b> <Status status={standing(of)} /> <When at={of.started_at ?? of.queued_at ?? null} />{" "}
      {took(of.duration_ms)}
      {error === null ? null : (
        <Text size="xs" c="dimmed" style={{ overflowWrap: "anywhere" }}>
          {error.message}
        </Text>
      )}
    </Text>
  );
}

export function NodeLines({ run, nodeId, instance, then }: TraceProps) {
  const query = api.useQuery(
    "get",
    "/api/runs/{run_id}/logs",
    {
      params: {
        path: { run_id: run.run_id },
        query: { node_id: nodeId, limit: LINES_SHOWN, ...(instance === null ? {} : { instance }) },
      },
    },
    { refetchInterval: usePace(run, then) },
  );
  const lines = (query.data?.items ?? []).filter((line) => then === null || line.at <= then);
  if (lines.length === 0) return null;
  return (
    <section>
      <Title order={3} fz="sm" mb={4}>
        Log
      </Title>
      <pre
        className="ff-json ff-mono ff-scroll"
        tabIndex={0}
        role="region"
        aria-label={`log of ${nodeId}`}
        style={{ maxHeight: 260 }}
      >
        {lines.map((line) => line.text).join("\n")}
      </pre>
      <Anchor component={Link} to={`/runs/${run.run_id}/logs?node=${nodeId}`} size="xs">
        {query.data?.next_cursor == null ? "Open in the log" : `More than ${LINES_SHOWN} lines: open the log`}
      </Anchor>
    </section>
  );
}
