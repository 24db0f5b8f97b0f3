/* What starts runs: each type's sign, its name for people, and one line on what it does. */
import {
  IconBell,
  IconBolt,
  IconCalendarTime,
  IconHandClick,
  IconLink,
  IconWebhook,
  type Icon,
} from "@tabler/icons-react";
import type { TriggerType } from "./trigger";

export interface TriggerKind {
  label: string;
  does: string;
  icon: Icon;
}

export const triggerKinds: Record<TriggerType, TriggerKind> = {
  event: { label: "Event", does: "Runs when an event comes in that matches", icon: IconBell },
  schedule: { label: "Schedule", does: "Runs by the clock", icon: IconCalendarTime },
  dependency: { label: "After other workflows", does: "Runs when runs of others end", icon: IconLink },
  webhook: { label: "Webhook", does: "Runs when somebody posts a signed request", icon: IconWebhook },
  manual: { label: "By hand", does: "Runs when a person or a program says so", icon: IconHandClick },
};

export const triggerTypes: TriggerType[] = ["event", "schedule", "dependency", "webhook", "manual"];

export function triggerKindOf(type: string): TriggerKind {
  const known = triggerTypes.find((one) => one === type);
  return known === undefined ? { label: type, does: "", icon: IconBolt } : triggerKinds[known];
}
