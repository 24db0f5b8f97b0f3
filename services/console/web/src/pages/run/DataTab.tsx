/* What went in, what was set on the way, what came out. */
import { Text, Title } from "@mantine/core";
import type { ReactNode } from "react";
import { fieldsOf, listOf, textOf } from "../../api/narrow";
import { Json } from "../../ui/Json";
import type { SeenRun } from "./seen";

export default function DataTab({ run }: SeenRun) {
  const recoveries = listOf(run.recovery_actions).map(fieldsOf);
  return (
    <div className="ff-cards">
      <Part title="Input">
        <Json value={run.input_data} label="input of the run" />
      </Part>
      <Part title="Output">
        <Json value={run.output_data} label="output of the run" />
      </Part>
      <Part title="Variables">
        <Json value={run.variables} label="variables of the run" />
      </Part>
      {run.error === null ? null : (
        <Part title="Error">
          <Json value={run.error} label="error of the run" />
        </Part>
      )}
      {recoveries.length === 0 ? null : (
        <Part title="Recovery">
          {recoveries.map((one, index) => (
            <Text size="sm" key={index}>
              {textOf(one["node_id"]) ?? "run"}: {textOf(one["action"])?.replaceAll("_", " ")}{" "}
              {textOf(one["detail"]) ?? ""}
            </Text>
          ))}
        </Part>
      )}
    </div>
  );
}

function Part({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className="ff-panel">
      <Title order={2} fz="md" mb="xs">
        {title}
      </Title>
      {children}
    </section>
  );
}
