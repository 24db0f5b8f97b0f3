import { Group, Text, Tooltip } from "@mantine/core";
import { IconPlugConnectedX, IconWifi } from "@tabler/icons-react";
import { useEffect, useState } from "react";
import { useLine } from "../api/line";

/** A break of a blink is not worth a word. */
const SAID_AFTER_MS = 400;

/** Whether what is seen is live. */
export function LineSign() {
  const line = useLine();
  const [isLost, setLost] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLost(line === "lost"), line === "lost" ? SAID_AFTER_MS : 0);
    return () => clearTimeout(timer);
  }, [line]);
  if (isLost) {
    return (
      <Group
        gap={6}
        wrap="nowrap"
        role="status"
        data-testid="line"
        data-line="lost"
        style={{ color: "var(--ff-failed)" }}
      >
        <IconPlugConnectedX size={18} aria-hidden />
        <Text size="sm" fw={600}>
          Connection lost, trying again…
        </Text>
      </Group>
    );
  }
  if (line !== "live") return <span data-testid="line" data-line={line} />;
  return (
    <Tooltip label="What you see is kept up to date">
      <Group
        gap={6}
        wrap="nowrap"
        data-testid="line"
        data-line="live"
        style={{ color: "var(--ff-completed)" }}
      >
        <IconWifi size={16} aria-hidden />
        <Text size="xs" visibleFrom="sm">
          Live
        </Text>
      </Group>
    </Tooltip>
  );
}
