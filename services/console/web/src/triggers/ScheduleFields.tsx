import { Autocomplete, Grid, SegmentedControl, Select, TagsInput, Text, TextInput } from "@mantine/core";
import { DurationInput } from "../ui/DurationInput";
import { cronInWords } from "./cron";
import type { FieldsProps } from "./fields";
import type { ScheduleTrigger } from "./trigger";
import { Words } from "./Words";

const catchUps: { value: ScheduleTrigger["config"]["catch_up"]; label: string }[] = [
  { value: "latest", label: "make up for the newest one" },
  { value: "all", label: "make up for all (the newest 1,000)" },
  { value: "none", label: "leave them out" },
];

export function ScheduleFields({ value, onChange }: FieldsProps<ScheduleTrigger>) {
  const { config } = value;
  const set = (changed: Partial<ScheduleTrigger["config"]>) =>
    onChange({ ...value, config: { ...config, ...changed } });
  return (
    <Grid>
      <Grid.Col span={12}>
        <SegmentedControl
          aria-label="By the clock or by a period"
          data={[
            { value: "cron", label: "At times of the day (cron)" },
            { value: "every", label: "Every so often" },
          ]}
          value={config.cron === null ? "every" : "cron"}
          onChange={(chosen) =>
            set(
              chosen === "cron" ? { cron: "0 2 * * *", every_ms: null } : { cron: null, every_ms: 3_600_000 },
            )
          }
        />
      </Grid.Col>
      {config.cron === null ? (
        <Grid.Col span={{ base: 12, sm: 6 }}>
          <DurationInput
            label="Every"
            value={config.every_ms}
            onChange={(ms) => set({ every_ms: ms })}
            isRequired
          />
        </Grid.Col>
      ) : (
        <Grid.Col span={{ base: 12, sm: 6 }}>
          <TextInput
            label="Cron"
            description="minute hour day month weekday; six fields have seconds first"
            required
            value={config.cron}
            onChange={({ currentTarget }) => set({ cron: currentTarget.value })}
            styles={{ input: { fontFamily: "var(--mantine-font-family-monospace)" } }}
          />
          <Text size="sm" c="dimmed" mt={4} component="div">
            <Words of={cronInWords(config.cron)} />
          </Text>
        </Grid.Col>
      )}
      <Grid.Col span={{ base: 12, sm: 6 }}>
        <Autocomplete
          label="Time zone"
          description="Whose clock it follows"
          data={Intl.supportedValuesOf("timeZone")}
          limit={30}
          value={config.timezone}
          onChange={(text) => set({ timezone: text })}
        />
      </Grid.Col>
      <Grid.Col span={{ base: 12, sm: 6 }}>
        <TextInput
          label="From"
          type="datetime-local"
          description="In its time zone; empty for at once"
          value={config.start_at?.slice(0, 16) ?? ""}
          onChange={({ currentTarget }) => set({ start_at: moment(currentTarget.value) })}
        />
      </Grid.Col>
      <Grid.Col span={{ base: 12, sm: 6 }}>
        <TextInput
          label="Until"
          type="datetime-local"
          description="Empty for ever"
          value={config.end_at?.slice(0, 16) ?? ""}
          onChange={({ currentTarget }) => set({ end_at: moment(currentTarget.value) })}
        />
      </Grid.Col>
      <Grid.Col span={{ base: 12, sm: 6 }}>
        <TagsInput
          label="Not on these days"
          description="2026-12-24, then Enter"
          value={config.exclude_dates}
          onChange={(days) =>
            set({ exclude_dates: days.filter((day) => /^\d{4}-\d{2}-\d{2}$/.test(day)).sort() })
          }
        />
      </Grid.Col>
      <Grid.Col span={{ base: 12, sm: 6 }}>
        <Select
          label="Times missed while down"
          data={catchUps}
          value={config.catch_up}
          allowDeselect={false}
          onChange={(chosen) => chosen !== null && set({ catch_up: chosen })}
        />
      </Grid.Col>
      <Grid.Col span={{ base: 12, sm: 6 }}>
        <DurationInput
          label="Up to so much later"
          description="Jitter, to spread the load"
          value={config.jitter_ms === 0 ? null : config.jitter_ms}
          onChange={(ms) => set({ jitter_ms: ms ?? 0 })}
        />
      </Grid.Col>
    </Grid>
  );
}

function moment(text: string): string | null {
  return text === "" ? null : `${text}:00`;
}
