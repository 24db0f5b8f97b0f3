import { ActionIcon, Button, Grid, Group, SegmentedControl, Select, Stack, Text } from "@mantine/core";
import { IconPlus, IconTrash } from "@tabler/icons-react";
import { api } from "../api/client";
import { DurationInput } from "../ui/DurationInput";
import { Expression } from "./Expression";
import type { FieldsProps } from "./fields";
import type { DependencyTrigger } from "./trigger";

type Upstream = DependencyTrigger["config"]["upstreams"][number];
const WORKFLOWS_MAX = 1_000;
const conditions: { value: Upstream["condition"]; label: string }[] = [
  { value: "on_success", label: "succeeds" },
  { value: "on_failure", label: "fails" },
  { value: "on_completion", label: "ends, however it does" },
];
/** What a run looks like to `correlate_by`. */
const RUN = { labels: { day: "2026-01-01" }, workflow_id: "extract", output: {}, status: "completed" };

export function DependencyFields({ value, onChange }: FieldsProps<DependencyTrigger>) {
  const { config } = value;
  const set = (changed: Partial<DependencyTrigger["config"]>) =>
    onChange({ ...value, config: { ...config, ...changed } });
  const setUpstream = (index: number, changed: Partial<Upstream>) =>
    set({ upstreams: config.upstreams.map((one, at) => (at === index ? { ...one, ...changed } : one)) });
  return (
    <Stack gap="sm">
      <Upstreams upstreams={config.upstreams} set={set} setUpstream={setUpstream} />
      {config.upstreams.length < 2 ? null : (
        <SegmentedControl
          aria-label="Any of them or all"
          data={[
            { value: "any", label: "Fires for any of them" },
            { value: "all", label: "Waits for all of them" },
          ]}
          value={config.logic}
          onChange={(logic) => set({ logic: logic === "all" ? "all" : "any" })}
        />
      )}
      {config.logic === "any" ? null : (
        <Grid>
          <Grid.Col span={{ base: 12, sm: 6 }}>
            <DurationInput
              label="One waits so long for the others"
              value={config.window_ms}
              onChange={(ms) => ms !== null && set({ window_ms: ms })}
            />
          </Grid.Col>
          <Grid.Col span={{ base: 12, sm: 6 }}>
            <Expression
              label="Join only runs with the same"
              value={config.correlate_by ?? ""}
              onChange={(text) => set({ correlate_by: text.trim() === "" ? null : text })}
              placeholder="run.labels.day"
              root="run"
              sample={RUN}
              within={(text) => ({ ...value, config: { ...config, correlate_by: text } })}
              path="config.correlate_by"
            />
          </Grid.Col>
        </Grid>
      )}
    </Stack>
  );
}

function Upstreams(props: {
  upstreams: Upstream[];
  set: (changed: { upstreams: Upstream[] }) => void;
  setUpstream: (index: number, changed: Partial<Upstream>) => void;
}) {
  const { upstreams, set, setUpstream } = props;
  const workflows = api.useQuery("get", "/api/workflows", { params: { query: { limit: WORKFLOWS_MAX } } });
  const ids = (workflows.data?.items ?? []).map(({ id, name }) => ({
    value: id,
    label: name === id ? id : `${name} (${id})`,
  }));
  const known = (id: string) =>
    id === "" || ids.some(({ value }) => value === id) ? ids : [...ids, { value: id, label: id }];
  return (
    <Stack gap="xs">
      <Text size="sm" fw={500}>
        When a run of
      </Text>
      {upstreams.map((upstream, index) => (
        <Group key={index} gap="xs" wrap="nowrap" align="flex-end">
          <Select
            aria-label={`Workflow ${index + 1}`}
            placeholder="a workflow"
            searchable
            data={known(upstream.workflow_id)}
            value={upstream.workflow_id === "" ? null : upstream.workflow_id}
            onChange={(id) => setUpstream(index, { workflow_id: id ?? "" })}
            style={{ flex: 2 }}
          />
          <Select
            aria-label={`How a run of workflow ${index + 1} ends`}
            data={conditions}
            allowDeselect={false}
            value={upstream.condition}
            onChange={(chosen) => chosen !== null && setUpstream(index, { condition: chosen })}
            style={{ flex: 1 }}
          />
          <ActionIcon
            variant="subtle"
            color="red"
            size="lg"
            aria-label={`Take workflow ${index + 1} out`}
            onClick={() => set({ upstreams: upstreams.filter((_one, at) => at !== index) })}
          >
            <IconTrash size={16} />
          </ActionIcon>
        </Group>
      ))}
      <Button
        variant="default"
        size="compact-sm"
        leftSection={<IconPlus size={14} aria-hidden />}
        onClick={() => set({ upstreams: [...upstreams, { workflow_id: "", condition: "on_success" }] })}
        style={{ alignSelf: "flex-start" }}
      >
        {upstreams.length === 0 ? "Choose a workflow" : "Another workflow"}
      </Button>
    </Stack>
  );
}
