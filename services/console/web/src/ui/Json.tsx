import { Box, Button, Text } from "@mantine/core";
import { useMemo, useState } from "react";
import { Copy } from "./Copy";
import { count } from "./times";

const SHOWN_CHARACTERS_MAX = 20_000;

/** A value as JSON, indented; of a large one the beginning, until more is asked for. */
export function Json({ value, label }: { value: unknown; label: string }) {
  const text = useMemo(() => (value === undefined ? "" : JSON.stringify(value, null, 2)), [value]);
  const [isWhole, setWhole] = useState(false);
  if (text === "" || text === "null")
    return (
      <Text size="sm" c="dimmed">
        none
      </Text>
    );
  const isCut = !isWhole && text.length > SHOWN_CHARACTERS_MAX;
  return (
    <Box pos="relative">
      <Box pos="absolute" right={4} top={0}>
        <Copy text={text} label={`Copy ${label}`} />
      </Box>
      <pre
        className="ff-json ff-mono ff-scroll"
        tabIndex={0}
        aria-label={label}
        role="region"
        style={{ maxHeight: 420 }}
      >
        {isCut ? text.slice(0, SHOWN_CHARACTERS_MAX) : text}
      </pre>
      {isCut ? (
        <Button variant="subtle" size="compact-xs" onClick={() => setWhole(true)}>
          Show all {count(text.length)} characters
        </Button>
      ) : null}
    </Box>
  );
}
