/* What any trigger may have: quiet, delay, limit, and the input of its runs. */
import { Grid, Input, NumberInput } from "@mantine/core";
import { useState } from "react";
import { Code } from "../editor/Code";
import { DurationInput } from "../ui/DurationInput";
import { readJson } from "../ui/readJson";
import type { Trigger } from "./trigger";

const HOUR_MS = 3_600_000;

export function TimingFields<T extends Trigger>({
  value,
  onChange,
}: {
  value: T;
  onChange: (value: T) => void;
}) {
  const { limit } = value;
  return (
    <Grid>
      <Grid.Col span={{ base: 12, sm: 6 }}>
        <DurationInput
          label="Wait for quiet (debounce)"
          description="Fires for the last one, once no other came for so long"
          value={value.debounce_ms}
          onChange={(ms) => onChange({ ...value, debounce_ms: ms })}
        />
      </Grid.Col>
      <Grid.Col span={{ base: 12, sm: 6 }}>
        <DurationInput
          label="Then wait (delay)"
          description="Fires so much later"
          value={value.delay_ms}
          onChange={(ms) => onChange({ ...value, delay_ms: ms })}
        />
      </Grid.Col>
      <Grid.Col span={{ base: 12, sm: 6 }}>
        <NumberInput
          label="At most so many times"
          description="Empty for no limit"
          min={1}
          max={10_000}
          value={limit?.max_fires ?? ""}
          onChange={(count) =>
            onChange({
              ...value,
              limit: count === "" ? null : { max_fires: Number(count), per_ms: limit?.per_ms ?? HOUR_MS },
            })
          }
        />
      </Grid.Col>
      <Grid.Col span={{ base: 12, sm: 6 }}>
        {limit === null ? null : (
          <DurationInput
            label="In"
            description="In any such span"
            value={limit.per_ms}
            onChange={(ms) => ms !== null && onChange({ ...value, limit: { ...limit, per_ms: ms } })}
          />
        )}
      </Grid.Col>
      <Grid.Col span={12}>
        <InputField value={value} onChange={onChange} />
      </Grid.Col>
    </Grid>
  );
}

function InputField<T extends Trigger>({ value, onChange }: { value: T; onChange: (value: T) => void }) {
  const [text, setText] = useState(value.input === undefined ? "" : JSON.stringify(value.input, null, 2));
  const read = readJson(text);
  return (
    <Input.Wrapper
      label="Input of its runs"
      labelElement="div"
      description={
        'JSON with templates over event, such as {"order": "${event.data.id}"}; without it the event’s data'
      }
      error={text.trim() === "" || read.isSound ? null : read.fault}
    >
      <div style={{ marginTop: 4 }}>
        <Code
          value={text}
          language="json"
          label="Input of its runs"
          height="120px"
          onChange={(next) => {
            setText(next);
            const meant = readJson(next);
            if (next.trim() === "") onChange(withoutInput(value));
            else if (meant.isSound) onChange({ ...value, input: meant.value });
          }}
        />
      </div>
    </Input.Wrapper>
  );
}

function withoutInput<T extends Trigger>(value: T): T {
  const rest = { ...value };
  delete rest.input;
  return rest;
}
