import type { Schemas } from "../api/client";
import { countsOf } from "../api/narrow";
import type { CardData } from "./NodeCard";

/** How a node stands in a run, as its card shows it: a run tells progress as a share, a card as percent. */
export function standingOf(
  run: Pick<Schemas["NodeRun"], "status" | "progress" | "instance_counts">,
): Pick<CardData, "status" | "progress" | "instances"> {
  return {
    status: run.status,
    progress: run.progress === null ? null : run.progress * 100,
    instances: countsOf(run.instance_counts),
  };
}
