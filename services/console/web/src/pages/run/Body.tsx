/* What a loop repeats, drawn small. */
import { Title } from "@mantine/core";
import { useMemo } from "react";
import type { Schemas } from "../../api/client";
import { WorkflowGraph, type Drawn } from "../../graph/WorkflowGraph";

export function Body({ of, label, runId }: { of: Schemas["BodyGraph"]; label: string; runId: string }) {
  const drawn = useMemo<Drawn>(
    () => ({
      nodes: of.nodes.map((node) => ({
        id: node.node_id,
        data: { type: node.type, name: node.name === "" ? node.node_id : node.name, isMap: node.is_map },
      })),
      edges: of.edges.map(({ source_node_id: source, target_node_id: target }) => ({
        id: `${source}>${target}`,
        source,
        target,
      })),
    }),
    [of],
  );
  return (
    <section>
      <Title order={3} fz="sm" mb={4}>
        What it repeats
      </Title>
      <div style={{ height: 150, border: "1px solid var(--ff-line)", borderRadius: 6 }}>
        <WorkflowGraph key={runId} drawn={drawn} label={`What ${label} repeats`} />
      </div>
    </section>
  );
}
