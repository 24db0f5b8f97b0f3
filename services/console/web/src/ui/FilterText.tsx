import { TextInput } from "@mantine/core";
import { IconSearch } from "@tabler/icons-react";
import { useEffect, useState } from "react";

const PAUSE_MS = 300;

interface FilterTextProps {
  label: string;
  value: string;
  onChange: (value: string) => void;
  placeholder?: string;
  /** The page's own search, which `/` goes to. */
  isSearch?: boolean;
  width?: number;
}

/** A filter that is typed; it is applied when typing pauses. */
export function FilterText(props: FilterTextProps) {
  const { label, value, onChange, placeholder, isSearch = false, width = 200 } = props;
  const [typed, setTyped] = useState({ text: value, of: value });
  const text = typed.of === value ? typed.text : value;
  useEffect(() => {
    if (text === value) return;
    const timer = setTimeout(() => onChange(text.trim()), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [text, value, onChange]);
  return (
    <TextInput
      aria-label={label}
      placeholder={placeholder ?? label}
      type={isSearch ? "search" : "text"}
      leftSection={isSearch ? <IconSearch size={16} aria-hidden /> : undefined}
      value={text}
      onChange={({ currentTarget }) => setTyped({ text: currentTarget.value, of: value })}
      w={width}
      maw="100%"
    />
  );
}
