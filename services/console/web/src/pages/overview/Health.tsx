/* Whether the services answer, who is behind and by how much, what waits for a worker. */
import { Badge, Group, SimpleGrid, Stack, Table, Text, Title, Tooltip } from "@mantine/core";
import type { Schemas } from "../../api/client";
import { Shown } from "../../ui/Said";
import { Status } from "../../ui/Status";
import { ago, bytes, count } from "../../ui/times";
import { byNeed, lags, verdict } from "./health";
import type { Lists } from "./Overview";
import { Panel } from "./Panel";

export function Health({ of }: { of: Lists[5] }) {
  return (
    <Panel title="Health" aside={of.data === undefined ? null : <Verdict of={of.data} />}>
      <Shown of={of}>
        {(system) => (
          <Stack gap="md">
            <Services of={system} />
            <SimpleGrid cols={{ base: 1, md: 2 }} spacing="lg">
              <Lags of={system} />
              <Queues of={system.queues} />
            </SimpleGrid>
          </Stack>
        )}
      </Shown>
    </Panel>
  );
}

function Verdict({ of }: { of: Schemas["SystemView"] }) {
  const { status, words } = verdict(of);
  return (
    <span data-testid="health" data-health={status}>
      <Status status={status} detail={words} />
    </span>
  );
}

function Services({ of }: { of: Schemas["SystemView"] }) {
  return (
    <Group component="ul" gap="xs" m={0} p={0} aria-label="Services" style={{ listStyle: "none" }}>
      {of.services.map((one) => {
        const state = one.is_up === null ? "unknown" : one.is_up ? "up" : "down";
        const details = [
          one.started_at === null ? null : `since ${ago(one.started_at)}`,
          one.memory_bytes === null ? null : bytes(one.memory_bytes),
          one.processes > 1 ? `${one.processes} processes` : null,
          one.silent.length === 0 ? null : `hears nothing from ${one.silent.join(", ")}`,
        ].filter((part) => part !== null);
        return (
          <li key={one.name} data-testid={`service-${one.name}`} data-state={state}>
            <Tooltip label={details.join(" · ") || "it does not answer"}>
              <Badge
                variant="default"
                tt="none"
                fw={500}
                size="lg"
                leftSection={
                  <Status status={{ up: "ok", down: "failed", unknown: "idle" }[state]} detail={undefined} />
                }
              >
                {one.name}
              </Badge>
            </Tooltip>
          </li>
        );
      })}
    </Group>
  );
}

function Lags({ of }: { of: Schemas["SystemView"] }) {
  const rows = lags(of);
  const behind = rows.filter(({ waiting }) => waiting > 0);
  return (
    <div>
      <Title order={3} mb={4}>
        Consumers
      </Title>
      <Text size="sm" c="dimmed" mb={4}>
        {behind.length === 0
          ? `All ${rows.length} have caught up with the log, which has ${count(of.log_position)} events.`
          : `${behind.length} of ${rows.length} have more to take; the log has ${count(of.log_position)} events.`}
      </Text>
      <details open={behind.length > 0}>
        <summary>
          <Text size="sm" span>
            Each by itself
          </Text>
        </summary>
        <Table verticalSpacing={2} aria-label="Lag of every consumer">
          <Table.Thead>
            <Table.Tr>
              <Table.Th fz="xs" c="dimmed">
                Who
              </Table.Th>
              <Table.Th fz="xs" c="dimmed">
                Of what
              </Table.Th>
              <Table.Th fz="xs" c="dimmed" ta="right">
                Waiting
              </Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {rows.map((row) => (
              <Table.Tr key={`${row.who} ${row.of}`} data-testid="consumer-lag">
                <Table.Td>{row.who}</Table.Td>
                <Table.Td>{row.of}</Table.Td>
                <Table.Td ta="right" className="ff-number" fw={row.waiting > 0 ? 650 : 400}>
                  {count(row.waiting)}
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </details>
    </div>
  );
}

function Queues({ of }: { of: Schemas["QueueStanding"][] }) {
  const isBusy = ({ waiting_jobs, taken_jobs }: Schemas["QueueStanding"]) =>
    waiting_jobs > 0 || taken_jobs > 0;
  const busy = of.filter(isBusy);
  const idle = byNeed(of.filter((one) => !isBusy(one)));
  return (
    <div>
      <Title order={3} mb={4}>
        Queues of jobs
      </Title>
      {of.length === 0 ? (
        <Text size="sm" c="dimmed">
          No job was ever handed to a worker.
        </Text>
      ) : (
        <>
          <QueueTable of={byNeed(busy)} label="Queues of jobs" />
          {idle.length === 0 ? null : (
            <details>
              <summary>
                <Text size="sm" span>
                  {idle.length} with nothing to do
                </Text>
              </summary>
              <QueueTable of={idle} label="Queues with nothing to do" />
            </details>
          )}
        </>
      )}
    </div>
  );
}

function QueueTable({ of, label }: { of: Schemas["QueueStanding"][]; label: string }) {
  if (of.length === 0)
    return (
      <Text size="sm" c="dimmed" mb={4}>
        No job waits for a worker.
      </Text>
    );
  return (
    <Table verticalSpacing={2} aria-label={label}>
      <Table.Thead>
        <Table.Tr>
          <Table.Th fz="xs" c="dimmed">
            Queue and job type
          </Table.Th>
          <Table.Th fz="xs" c="dimmed" ta="right">
            Waiting
          </Table.Th>
          <Table.Th fz="xs" c="dimmed" ta="right">
            Taken
          </Table.Th>
          <Table.Th fz="xs" c="dimmed">
            Worker
          </Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {of.map((one) => (
          <Table.Tr key={one.name}>
            <Table.Td style={{ overflowWrap: "anywhere" }}>{one.name.replace("--", " · ")}</Table.Td>
            <Table.Td ta="right" className="ff-number">
              {count(one.waiting_jobs)}
            </Table.Td>
            <Table.Td ta="right" className="ff-number">
              {count(one.taken_jobs)}
            </Table.Td>
            <Table.Td>
              {one.workers_waiting > 0 || one.taken_jobs > 0 ? (
                "there"
              ) : one.waiting_jobs > 0 ? (
                <b>none is there</b>
              ) : (
                "none"
              )}
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}
