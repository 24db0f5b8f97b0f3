/* A trigger to be filled in: a form made for each type, what it does in words, and a trial with an event. */
import { Accordion, Box, Grid, Radio, SimpleGrid, Stack, Switch, Text, TextInput } from "@mantine/core";
import { Findings } from "../ui/Said";
import type { Problem } from "../api/client";
import { faultOfId } from "../definition/ids";
import { DependencyFields } from "./DependencyFields";
import { EventFields } from "./EventFields";
import { JOB_TYPE_IDS } from "./jobTypes";
import { triggerKinds, triggerTypes } from "./kinds";
import { asSent, useSamples } from "./samples";
import { ScheduleFields } from "./ScheduleFields";
import { TimingFields } from "./TimingFields";
import { blank, slugOf, type Trigger } from "./trigger";
import { Trial } from "./Trial";
import { WebhookFields } from "./WebhookFields";
import { Words } from "./Words";
import { inWords } from "./words";

export interface TriggerFormProps {
  value: Trigger;
  onChange: (value: Trigger) => void;
  /** Its type and its id can still be chosen. */
  isNew: boolean;
  /** Of the workflow's other triggers. */
  takenIds: string[];
  workflowId: string | null;
  /** What the server found wrong. */
  errors?: Problem["errors"];
}

export function TriggerForm({ value, onChange, isNew, takenIds, workflowId, errors = [] }: TriggerFormProps) {
  const samples = useSamples(value);
  const sample = asSent(samples[0], value);
  return (
    <Stack gap="md">
      {isNew ? <Types value={value} onChange={onChange} /> : null}
      <Named value={value} onChange={onChange} isNew={isNew} takenIds={takenIds} />
      <TypeFields value={value} onChange={onChange} sample={sample} isNew={isNew} />
      <Box
        className="ff-panel"
        p="sm"
        style={{ background: "var(--ff-raised)" }}
        data-testid="trigger-in-words"
      >
        <Text size="sm" component="div">
          It <Words of={inWords(value)} />.
        </Text>
      </Box>
      {errors.length === 0 ? null : (
        <Box role="alert" style={{ color: "var(--ff-failed)" }}>
          <Findings errors={errors} />
        </Box>
      )}
      <Accordion variant="contained" defaultValue={value.type === "event" && !isNew ? "trial" : null}>
        {value.type === "event" || value.type === "webhook" ? (
          <Accordion.Item value="trial">
            <Accordion.Control>Try it with an event</Accordion.Control>
            <Accordion.Panel>
              <Trial trigger={value} workflowId={workflowId} samples={samples} />
            </Accordion.Panel>
          </Accordion.Item>
        ) : null}
        <Accordion.Item value="timing">
          <Accordion.Control>Quiet, delay, limit and input</Accordion.Control>
          <Accordion.Panel>
            <TimingFields value={value} onChange={onChange} />
          </Accordion.Panel>
        </Accordion.Item>
      </Accordion>
    </Stack>
  );
}

function Types({ value, onChange }: Pick<TriggerFormProps, "value" | "onChange">) {
  return (
    <Radio.Group
      label="What starts a run"
      value={value.type}
      onChange={(chosen) => {
        const type = triggerTypes.find((one) => one === chosen) ?? "event";
        onChange({ ...blank(type), id: value.id, name: value.name, enabled: value.enabled });
      }}
    >
      <SimpleGrid cols={{ base: 1, xs: 2, sm: 3 }} spacing="xs" mt={6}>
        {triggerTypes.map((type) => {
          const { label, does } = triggerKinds[type];
          return (
            <Radio.Card
              key={type}
              value={type}
              p="xs"
              aria-label={label}
              data-testid={`trigger-type-${type}`}
              style={{ display: "flex", alignItems: "flex-start" }}
            >
              <Box style={{ display: "flex", gap: 8 }}>
                <Radio.Indicator mt={3} />
                <div>
                  <Text size="sm" fw={600}>
                    {label}
                  </Text>
                  <Text size="xs" c="dimmed">
                    {does}
                  </Text>
                </div>
              </Box>
            </Radio.Card>
          );
        })}
      </SimpleGrid>
    </Radio.Group>
  );
}

function Named({
  value,
  onChange,
  isNew,
  takenIds,
}: Pick<TriggerFormProps, "value" | "onChange" | "isNew" | "takenIds">) {
  const isFollowing = value.id === "" || value.id === slugOf(value.name, takenIds);
  const fault = !isNew || value.id === "" ? null : idFault(value.id, takenIds);
  return (
    <Grid align="flex-start">
      <Grid.Col span={{ base: 12, sm: 5 }}>
        <TextInput
          label="Name"
          placeholder={triggerKinds[value.type].label}
          value={value.name}
          data-autofocus
          onChange={({ currentTarget }) => {
            const name = currentTarget.value;
            const id = isNew && isFollowing ? (name.trim() === "" ? "" : slugOf(name, takenIds)) : value.id;
            onChange({ ...value, name, id });
          }}
        />
      </Grid.Col>
      <Grid.Col span={{ base: 8, sm: 5 }}>
        <TextInput
          label="Id"
          readOnly={!isNew}
          value={value.id}
          error={fault}
          placeholder={slugOf(triggerKinds[value.type].label, takenIds)}
          onChange={({ currentTarget }) => onChange({ ...value, id: currentTarget.value })}
        />
      </Grid.Col>
      <Grid.Col span={{ base: 4, sm: 2 }} pt={{ base: 36 }}>
        <Switch
          label="On"
          checked={value.enabled}
          onChange={({ currentTarget }) => onChange({ ...value, enabled: currentTarget.checked })}
        />
      </Grid.Col>
    </Grid>
  );
}

function idFault(id: string, takenIds: string[]): string | null {
  if (takenIds.includes(id)) return "Another trigger of this workflow has this id";
  if (JOB_TYPE_IDS.includes(id)) return "This id belongs to the trigger of a job type";
  return faultOfId(id);
}

function TypeFields(props: {
  value: Trigger;
  onChange: (value: Trigger) => void;
  sample: unknown;
  isNew: boolean;
}) {
  const { value, isNew, ...rest } = props;
  switch (value.type) {
    case "event":
      return <EventFields value={value} {...rest} />;
    case "schedule":
      return <ScheduleFields value={value} {...rest} />;
    case "dependency":
      return <DependencyFields value={value} {...rest} />;
    case "webhook":
      return <WebhookFields value={value} isNew={isNew} {...rest} />;
    case "manual":
      return null;
  }
}

/** The trigger as it can be saved: an id is made where none was given. */
export function named(value: Trigger, takenIds: string[]): Trigger {
  return value.id === ""
    ? { ...value, id: slugOf(value.name || triggerKinds[value.type].label, takenIds) }
    : value;
}
