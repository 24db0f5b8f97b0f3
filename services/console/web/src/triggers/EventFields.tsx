import { Autocomplete, Grid, NumberInput, Select } from "@mantine/core";
import { api } from "../api/client";
import { DurationInput } from "../ui/DurationInput";
import { Expression } from "./Expression";
import type { FieldsProps } from "./fields";
import { filterOf, withFilter, type EventTrigger } from "./trigger";

const RECENT_MAX = 200;
type How = "each" | "batch" | "absent";
const ways: { value: How; label: string }[] = [
  { value: "each", label: "at each matching event" },
  { value: "batch", label: "once for several of them" },
  { value: "absent", label: "when none comes for a time" },
];

export function EventFields({ value, onChange, sample }: FieldsProps<EventTrigger>) {
  const { config } = value;
  const set = (changed: Partial<EventTrigger["config"]>) =>
    onChange({ ...value, config: { ...config, ...changed } });
  const recent = api.useQuery("get", "/api/events", { params: { query: { limit: RECENT_MAX } } });
  const items = recent.data?.items ?? [];
  const how: How = config.batch !== null ? "batch" : config.absent_for_ms !== null ? "absent" : "each";
  return (
    <Grid>
      <Grid.Col span={{ base: 12, sm: 6 }}>
        <Autocomplete
          label="Type of event"
          description="Exact, or with * for anything"
          placeholder="order.placed"
          required
          data={[...new Set(items.map(({ type }) => type))].sort()}
          value={config.event_type}
          onChange={(text) => set({ event_type: text })}
        />
      </Grid.Col>
      <Grid.Col span={{ base: 12, sm: 6 }}>
        <Autocomplete
          label="Source"
          description="Who sends it; * for anybody"
          data={["*", ...new Set(items.map(({ source }) => source))]}
          value={config.source}
          onChange={(text) => set({ source: text })}
        />
      </Grid.Col>
      <Grid.Col span={12}>
        <FilterField value={value} onChange={onChange} sample={sample} />
      </Grid.Col>
      <Grid.Col span={{ base: 12, sm: 6 }}>
        <Select
          label="Fires"
          data={ways}
          value={how}
          allowDeselect={false}
          onChange={(chosen) =>
            set({
              batch: chosen === "batch" ? { count: 10, window_ms: 60_000 } : null,
              absent_for_ms: chosen === "absent" ? 3_600_000 : null,
            })
          }
        />
      </Grid.Col>
      {config.batch === null ? null : (
        <>
          <Grid.Col span={{ base: 6, sm: 3 }}>
            <NumberInput
              label="At so many"
              min={1}
              max={10_000}
              value={config.batch.count}
              onChange={(count) =>
                set({ batch: { count: Number(count), window_ms: config.batch?.window_ms ?? 60_000 } })
              }
            />
          </Grid.Col>
          <Grid.Col span={{ base: 6, sm: 3 }}>
            <DurationInput
              label="Or so long after the first"
              value={config.batch.window_ms}
              onChange={(ms) =>
                ms !== null && set({ batch: { count: config.batch?.count ?? 1, window_ms: ms } })
              }
            />
          </Grid.Col>
        </>
      )}
      {config.absent_for_ms === null ? null : (
        <Grid.Col span={{ base: 12, sm: 6 }}>
          <DurationInput
            label="Without one for"
            value={config.absent_for_ms}
            onChange={(ms) => ms !== null && set({ absent_for_ms: ms })}
          />
        </Grid.Col>
      )}
    </Grid>
  );
}

/** Of events and webhooks. */
export function FilterField<T extends Parameters<typeof withFilter>[0]>({
  value,
  onChange,
  sample,
}: FieldsProps<T>) {
  return (
    <Expression
      label="Only if (filter)"
      description="An expression over event, such as event.data.size > 10; without one every such event counts"
      value={filterOf(value) ?? ""}
      onChange={(text) => onChange(withFilter(value, text) as T)}
      placeholder="event.data.size > 10"
      root="event"
      sample={sample}
      within={(text) => withFilter(value, text)}
      path="config.filter"
    />
  );
}
