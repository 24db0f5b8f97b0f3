import { Select } from "@mantine/core";
import { SPANS } from "./spans";
import { local } from "./times";

/** Chooses how far back a list looks. */
export function Since({ value, onChange }: { value: string; onChange: (value: string | null) => void }) {
  const isOwn = value !== "" && !SPANS.some((span) => span.value === value);
  const own = isOwn ? [{ value, label: `since ${local(value)}` }] : [];
  return (
    <Select
      aria-label="Since"
      placeholder="Any time"
      data={[...SPANS.map(({ value: span, label }) => ({ value: span, label })), ...own]}
      value={value === "" ? null : value}
      onChange={onChange}
      clearable
      w={160}
    />
  );
}
