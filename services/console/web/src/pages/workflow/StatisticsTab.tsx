/* How it did in some time: durations, success, throughput; by trigger and by node. */
import { Group, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { useMemo } from "react";
import { api, type Schemas } from "../../api/client";
import { Chart } from "../../ui/Chart";
import { percent, seriesOf } from "../../ui/hours";
import { Rows } from "../../ui/List";
import { Empty, Shown } from "../../ui/Said";
import { count, took } from "../../ui/times";
import { usePeriod } from "../../ui/usePeriod";
import type { TabProps } from "./Workflow";

export function StatisticsTab({ workflow }: TabProps) {
  const { since, until, everyHours, control } = usePeriod("7d");
  const stats = api.useQuery("get", "/api/workflows/{workflow_id}/stats", {
    params: { path: { workflow_id: workflow.id }, query: { since, until } },
  });
  return (
    <Stack gap="md">
      {control}
      <Shown of={stats}>{(data) => <All of={data} everyHours={everyHours} />}</Shown>
    </Stack>
  );
}

function All({ of, everyHours }: { of: Schemas["WorkflowStats"]; everyHours: number }) {
  if (of.runs.created === 0 && of.nodes.length === 0)
    return (
      <Empty title="Nothing ran in this time">Choose a longer one, or run it: numbers come with runs.</Empty>
    );
  return (
    <>
      <SimpleGrid cols={{ base: 2, sm: 3, lg: 6 }} spacing="sm">
        <Number label="Succeeded" value={percent(of.runs.success_rate)} />
        <Number label="Half took at most" value={took(of.durations.p50_ms)} />
        <Number label="95 % took at most" value={took(of.durations.p95_ms)} />
        <Number label="On average" value={took(of.durations.average_ms)} />
        <Number label="Ended per hour" value={of.throughput_per_hour.toFixed(1)} />
        <Number label="Active now" value={count(of.active)} />
      </SimpleGrid>
      <Charts of={of} everyHours={everyHours} />
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md">
        <ByTrigger of={of.triggers} />
        <ByNode of={of.nodes} />
      </SimpleGrid>
    </>
  );
}

function Number({ label, value }: { label: string; value: string }) {
  return (
    <div className="ff-panel" style={{ padding: "10px 14px" }}>
      <Text size="xs" c="dimmed">
        {label}
      </Text>
      <Text fz={22} fw={650} className="ff-number">
        {value}
      </Text>
    </div>
  );
}

function Charts({ of, everyHours }: { of: Schemas["WorkflowStats"]; everyHours: number }) {
  const { times, ended, lasted } = useMemo(() => {
    const counted = seriesOf(of.hours, of.since, of.until, everyHours);
    return {
      times: counted.times,
      ended: [
        { label: "Failed", colour: "var(--ff-failed)", values: counted.failed },
        { label: "Cancelled or partial", colour: "var(--ff-partial)", values: counted.other },
        { label: "Completed", colour: "var(--ff-completed)", values: counted.completed },
      ],
      lasted: durations(of.hours),
    };
  }, [of, everyHours]);
  return (
    <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md">
      <section className="ff-panel" style={{ padding: "12px 16px" }} aria-label="Throughput">
        <Title order={2} mb="xs">
          Runs that ended
        </Title>
        <Chart times={times} series={ended} kind="stacked" label="Runs that ended" />
      </section>
      <section className="ff-panel" style={{ padding: "12px 16px" }} aria-label="Durations">
        <Title order={2} mb="xs">
          How long they took
        </Title>
        {lasted.times.length < 2 ? (
          <Text size="sm" c="dimmed">
            A line is drawn once runs of two different hours have completed.
          </Text>
        ) : (
          <Chart times={lasted.times} series={lasted.series} kind="line" label="Durations" format={took} />
        )}
      </section>
    </SimpleGrid>
  );
}

function durations(hours: Schemas["HourRuns"][]) {
  const told = hours.filter(({ durations: { count: many } }) => many > 0);
  return {
    times: told.map(({ hour }) => Date.parse(hour) / 1_000),
    series: [
      { label: "Half at most", colour: "var(--ff-running)", values: told.map((one) => one.durations.p50_ms) },
      { label: "95 % at most", colour: "var(--ff-waiting)", values: told.map((one) => one.durations.p95_ms) },
    ],
  };
}

function ByTrigger({ of }: { of: Schemas["TriggerRuns"][] }) {
  return (
    <section aria-labelledby="by-trigger">
      <Title order={2} id="by-trigger" mb="xs">
        By trigger
      </Title>
      <div className="ff-panel ff-scroll">
        <Rows
          items={of}
          label="Statistics by trigger"
          row={({ type, id }) => ({ key: `${type} ${id}` })}
          columns={[
            { label: "Trigger", cell: ({ id, type }) => `${id} (${type})` },
            { label: "Runs", align: "right", cell: ({ runs }) => count(runs.created) },
            { label: "Succeeded", align: "right", cell: ({ runs }) => percent(runs.success_rate) },
            { label: "95 %", align: "right", cell: ({ durations: lasted }) => took(lasted.p95_ms) },
          ]}
        />
      </div>
    </section>
  );
}

function ByNode({ of }: { of: Schemas["NodeDurations"][] }) {
  const longest = Math.max(1, ...of.map(({ average_ms }) => average_ms));
  return (
    <section aria-labelledby="by-node">
      <Title order={2} id="by-node" mb="xs">
        By node, of late
      </Title>
      <div className="ff-panel ff-scroll" style={{ maxHeight: 420 }}>
        <Rows
          items={of}
          label="Statistics by node"
          row={({ node_id }) => ({ key: node_id })}
          columns={[
            {
              label: "Node",
              cell: ({ node_id, average_ms }) => (
                <>
                  {node_id}
                  <div className="ff-usage-bar" style={{ width: `${(100 * average_ms) / longest}%` }} />
                </>
              ),
            },
            {
              label: "Takes",
              align: "right",
              cell: ({ timed_count, average_ms, deviation_ms }) =>
                timed_count === 0 ? (
                  "–"
                ) : (
                  <Group gap={4} justify="flex-end" wrap="nowrap" className="ff-number">
                    {took(average_ms)}
                    <Text span size="xs" c="dimmed">
                      ± {took(deviation_ms)}
                    </Text>
                  </Group>
                ),
            },
            { label: "Failed", align: "right", cell: ({ failed_count }) => count(failed_count) },
          ]}
        />
      </div>
    </section>
  );
}
