/* How much ran and how much of it succeeded, over time; and which workflows most. */
import { Anchor, Group, SimpleGrid, Stack, Table, Text } from "@mantine/core";
import { useMemo } from "react";
import { Link } from "react-router";
import { api, type Schemas } from "../../api/client";
import { Chart } from "../../ui/Chart";
import { percent, seriesOf, sumOf } from "../../ui/hours";
import { Shown } from "../../ui/Said";
import { count } from "../../ui/times";
import { usePeriod } from "../../ui/usePeriod";
import { Panel } from "./Panel";

const MOST_USED_COUNT = 8;

export function Usage() {
  const { since, until, everyHours, control } = usePeriod("24h");
  const stats = api.useQuery("get", "/api/stats", { params: { query: { since, until } } });
  return (
    <Panel title="Usage and success" aside={control}>
      <Shown of={stats}>{(data) => <Both of={data} everyHours={everyHours} />}</Shown>
    </Panel>
  );
}

function Both({ of, everyHours }: { of: Schemas["Stats"]; everyHours: number }) {
  const { hours, since, until, workflows } = of.usage;
  const { times, series } = useMemo(() => {
    const counted = seriesOf(hours, since, until, everyHours);
    return {
      times: counted.times,
      series: [
        { label: "Failed", colour: "var(--ff-failed)", values: counted.failed },
        { label: "Cancelled or partial", colour: "var(--ff-partial)", values: counted.other },
        { label: "Completed", colour: "var(--ff-completed)", values: counted.completed },
      ],
    };
  }, [hours, since, until, everyHours]);
  const sum = sumOf(hours);
  const ended = sum.completed + sum.failed + sum.other;
  return (
    <SimpleGrid cols={{ base: 1, md: 2 }} spacing="lg">
      <Stack gap={4}>
        <Group gap="lg">
          <Text size="sm">
            <b className="ff-number">{percent(sum.success)}</b> succeeded
          </Text>
          <Text size="sm" c="dimmed">
            {ended === 1 ? "1 run" : `${count(ended)} runs`} ended
          </Text>
        </Group>
        <Chart times={times} series={series} kind="stacked" label="Runs that ended" />
      </Stack>
      <MostUsed of={workflows.slice(0, MOST_USED_COUNT)} />
    </SimpleGrid>
  );
}

function MostUsed({ of }: { of: Schemas["WorkflowUsage"][] }) {
  if (of.length === 0)
    return (
      <Text size="sm" c="dimmed">
        Nothing ran in this time.
      </Text>
    );
  const most = Math.max(1, ...of.map(({ runs }) => runs.created));
  return (
    <Table verticalSpacing={3} aria-label="Workflows that ran most" style={{ alignSelf: "start" }}>
      <Table.Thead>
        <Table.Tr>
          <Table.Th fz="xs" c="dimmed">
            Ran most
          </Table.Th>
          <Table.Th fz="xs" c="dimmed" ta="right">
            Runs
          </Table.Th>
          <Table.Th fz="xs" c="dimmed" ta="right">
            Succeeded
          </Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {of.map(({ workflow_id, runs }) => (
          <Table.Tr key={workflow_id}>
            <Table.Td>
              <Anchor component={Link} to={`/workflows/${workflow_id}`} size="sm">
                {workflow_id}
              </Anchor>
              <div className="ff-usage-bar" style={{ width: `${(100 * runs.created) / most}%` }} />
            </Table.Td>
            <Table.Td ta="right" className="ff-number">
              <Anchor component={Link} to={`/runs?workflow_id=${workflow_id}`} size="sm">
                {count(runs.created)}
              </Anchor>
            </Table.Td>
            <Table.Td ta="right" className="ff-number">
              {percent(runs.success_rate)}
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}
