import { Group, Text } from "@mantine/core";
import type { Schemas } from "../../api/client";
import { Status } from "../../ui/Status";
import { countedEffects } from "./effects";

/** `✓ fired · 2   not matched · 1` */
export function EffectLine({ effects }: { effects: Schemas["Effect"][] }) {
  const counts = countedEffects(effects);
  if (counts.length === 0)
    return (
      <Text size="sm" c="dimmed">
        concerned no trigger
      </Text>
    );
  return (
    <Group gap="sm">
      {counts.map(({ decision, count }) => (
        <Status key={decision} status={decision} detail={count === 1 ? undefined : String(count)} />
      ))}
    </Group>
  );
}
