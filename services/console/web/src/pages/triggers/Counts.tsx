import { Box, Group, Text } from "@mantine/core";
import { useMemo } from "react";
import type { Schemas } from "../../api/client";
import { decisionMeans, decisionName, DECISIONS } from "../../triggers/decisions";
import { Chart } from "../../ui/Chart";
import { Shown } from "../../ui/Said";
import { Status } from "../../ui/Status";
import { count } from "../../ui/times";
import { When } from "../../ui/When";

const colours: Record<string, string> = {
  fired: "var(--ff-completed)",
  not_matched: "var(--ff-idle)",
  held: "var(--ff-queued)",
  suppressed: "var(--ff-waiting)",
  expired: "var(--ff-cancelled)",
  failed: "var(--ff-failed)",
};

type Stats = Schemas["TriggerStats"];

/** How often it gave which answer, in all and in each of the last 24 hours. */
export function Counts({ of }: { of: Parameters<typeof Shown<Stats>>[0]["of"] }) {
  return (
    <Box className="ff-panel" p="sm" h="100%">
      <Shown of={of}>{(stats) => <Drawn stats={stats} />}</Shown>
    </Box>
  );
}

function Drawn({ stats }: { stats: Stats }) {
  const times = useMemo(() => stats.hours.map(({ since }) => Date.parse(since) / 1_000), [stats.hours]);
  const series = useMemo(
    () =>
      DECISIONS.filter((name) => stats.hours.some(({ decisions }) => (decisions[name] ?? 0) > 0)).map(
        (name) => ({
          label: decisionName(name),
          colour: colours[name] ?? "var(--ff-idle)",
          values: stats.hours.map(({ decisions }) => decisions[name] ?? 0),
        }),
      ),
    [stats.hours],
  );
  const rejected = Object.values(stats.rejected).reduce((sum, value) => sum + value, 0);
  return (
    <>
      <Group gap="lg" mb="xs" align="flex-start">
        {DECISIONS.filter((name) => (stats.decisions[name] ?? 0) > 0).map((name) => (
          <div key={name} title={decisionMeans(name)} data-testid={`count-${name}`}>
            <Text fw={650} size="lg" className="ff-number">
              {count(stats.decisions[name])}
            </Text>
            <Status status={name} />
            {name !== "suppressed" ? null : (
              <Text size="xs" c="dimmed">
                {Object.entries(stats.suppressed)
                  .map(([reason, times]) => `${reason.replaceAll("_", " ")} ${count(times)}`)
                  .join(", ")}
              </Text>
            )}
          </div>
        ))}
        {rejected === 0 ? null : (
          <div title="Requests that were not signed as they should be; they are no events">
            <Text fw={650} size="lg" className="ff-number">
              {count(rejected)}
            </Text>
            <Text size="sm">requests turned away</Text>
            <Text size="xs" c="dimmed">
              {Object.entries(stats.rejected)
                .map(([reason, times]) => `${reason} ${count(times)}`)
                .join(", ")}
            </Text>
          </div>
        )}
        <div style={{ marginLeft: "auto" }}>
          <Text size="xs" c="dimmed">
            Last fired
          </Text>
          <Text size="sm" component="div">
            {stats.last_fired_at === null ? "never" : <When at={stats.last_fired_at} relative />}
          </Text>
        </div>
      </Group>
      {series.length === 0 ? (
        <Text size="sm" c="dimmed" py="md">
          No decisions in the last 24 hours.
        </Text>
      ) : (
        <Chart
          times={times}
          series={series}
          kind="stacked"
          label="Decisions in the last 24 hours"
          height={130}
        />
      )}
    </>
  );
}
