/* The six types of job that start a workflow when one of them completes in its experiment. */
import { Stack, Switch, Text, Title } from "@mantine/core";
import { api, type Schemas } from "../../api/client";
import { useMay } from "../../shell/session";
import { Shown } from "../../ui/Said";
import { changed } from "./jobTypes";
import type { TabProps } from "./Workflow";

export function JobTypes({ workflow }: TabProps) {
  const blueprints = api.useQuery("get", "/api/workflows/trigger_blueprints", {}, { staleTime: "static" });
  return (
    <section aria-labelledby="job-types-heading">
      <Title order={2} id="job-types-heading">
        When a job completes
      </Title>
      <Text size="sm" c="dimmed" mb="xs" maw={700}>
        {workflow.experiment_id === null
          ? "The workflow belongs to no experiment, so that no job starts it: edit it to name the experiment whose jobs it shall follow."
          : `Jobs of the experiment “${workflow.experiment_id}” start it, once each.`}
      </Text>
      <Shown of={blueprints}>{({ items }) => <Switches workflow={workflow} blueprints={items} />}</Shown>
    </section>
  );
}

function Switches({ workflow, blueprints }: TabProps & { blueprints: Schemas["Blueprint"][] }) {
  const mayEdit = useMay("editor");
  const put = api.useMutation("put", "/api/workflows/{workflow_id}/trigger_configs");
  return (
    <Stack className="ff-panel" p="md" gap="sm" data-testid="job-types">
      {blueprints.map(({ trigger_type: type, name, description }) => {
        const isOn = workflow.trigger_configs.some((one) => one.trigger_type === type && one.is_enabled);
        return (
          <Switch
            key={type}
            label={name}
            description={`${description} (${type})`}
            checked={isOn}
            disabled={!mayEdit || put.isPending}
            data-testid={`job-type-${type}`}
            onChange={() =>
              put.mutate({
                params: { path: { workflow_id: workflow.id } },
                body: { configs: changed(workflow.trigger_configs, blueprints, type, !isOn) },
              })
            }
          />
        );
      })}
    </Stack>
  );
}
