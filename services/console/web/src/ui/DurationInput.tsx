import { TextInput } from "@mantine/core";
import { useState } from "react";
import { durationText, parseDuration } from "./durations";

interface DurationInputProps {
  label: string;
  /** In milliseconds; null where there is none. */
  value: number | null;
  onChange: (value: number | null) => void;
  description?: string | undefined;
  placeholder?: string;
  isRequired?: boolean;
  size?: "xs" | "sm";
  /** What the server says about it. */
  error?: string | null;
}

/** A period, typed as `5 min` or `1h 30m`. */
export function DurationInput(props: DurationInputProps) {
  const {
    label,
    value,
    onChange,
    description,
    placeholder = "5 min",
    isRequired = false,
    size = "sm",
    error = null,
  } = props;
  const [typed, setTyped] = useState(value === null ? "" : durationText(value));
  const meant = typed.trim() === "" ? null : parseDuration(typed);
  const isWrong = typed.trim() !== "" && (meant === null || meant === 0);
  const shown = meant === value || isWrong ? typed : value === null ? "" : durationText(value);
  return (
    <TextInput
      size={size}
      label={label}
      description={description}
      placeholder={placeholder}
      required={isRequired}
      value={shown}
      error={isWrong ? "A number and a unit, such as 30 s, 5 min, 2 h or 1 d" : error}
      onChange={({ currentTarget }) => {
        const text = currentTarget.value;
        setTyped(text);
        const next = text.trim() === "" ? null : parseDuration(text);
        if (text.trim() === "" || (next !== null && next > 0)) onChange(next);
      }}
      onBlur={() => value !== null && !isWrong && setTyped(durationText(value))}
    />
  );
}
