import { Text } from "@mantine/core";
import type { Schemas } from "../../api/client";
import { Facts } from "../../ui/Facts";
import { count, took } from "../../ui/times";

const PATH_MAX = 40;

/** What the run spent its time on; of the past nothing is known but how it stands now. */
export function MetricsPanel({ metrics, isPast }: { metrics: Schemas["Metrics"]; isPast: boolean }) {
  const path = metrics.critical_path;
  const saved = metrics.time_saved_ms;
  return (
    <>
      {isPast ? (
        <Text size="xs" mb="xs" style={{ color: "var(--ff-waiting)" }}>
          These numbers are of the run as it is now.
        </Text>
      ) : null}
      <Facts
        of={[
          ["Whole run", took(metrics.run_duration_ms)],
          ["One after the other", took(metrics.sequential_duration_ms)],
          ...(saved === null || saved <= 0
            ? []
            : [["Saved by running together", took(saved)] as [string, string]]),
          ["A node on average", took(metrics.average_node_duration_ms)],
          ["Longest node", metrics.longest_running_node ?? "–"],
          ["Bottlenecks", metrics.bottleneck_nodes.join(", ") || "–"],
          [
            "Use of its parallel slots",
            metrics.parallelism_utilization === null
              ? "–"
              : `${Math.round(metrics.parallelism_utilization * 100)} %`,
          ],
          [
            "Critical path",
            `${took(metrics.critical_path_duration_ms)}, ${count(path.length)} ${path.length === 1 ? "node" : "nodes"}`,
          ],
        ]}
      />
      <Text size="sm" mt="xs" style={{ overflowWrap: "anywhere" }}>
        {path.slice(0, PATH_MAX).join(" → ")}
        {path.length > PATH_MAX ? ` and ${count(path.length - PATH_MAX)} more` : ""}
      </Text>
    </>
  );
}
