/* What a node is: its sign, its name for people, and one line on what it does. */
import {
  IconApi,
  IconArrowMerge,
  IconArrowsSplit2,
  IconBrain,
  IconBriefcase,
  IconClockPause,
  IconDatabase,
  IconFlag,
  IconGitBranch,
  IconMailbox,
  IconPlayerPlay,
  IconRepeat,
  IconSubtask,
  IconTerminal2,
  IconTransform,
  IconUserCheck,
  type Icon,
} from "@tabler/icons-react";

export interface Kind {
  label: string;
  does: string;
  icon: Icon;
}

export const kinds: Record<string, Kind> = {
  start: { label: "Start", does: "Marks where it begins", icon: IconPlayerPlay },
  end: { label: "End", does: "Marks where it ends, and what comes out", icon: IconFlag },
  job: { label: "Job", does: "Hands work to a worker that serves its job type", icon: IconBriefcase },
  script: { label: "Script", does: "Runs bash, Python or Node in a process of its own", icon: IconTerminal2 },
  webhook: { label: "HTTP call", does: "Calls an address, and can wait to be called back", icon: IconApi },
  sql: { label: "SQL", does: "One query to a database", icon: IconDatabase },
  prompt_execution: { label: "Prompt", does: "Asks a language model", icon: IconBrain },
  condition: { label: "Condition", does: "Takes one of two paths", icon: IconGitBranch },
  loop: { label: "Loop", does: "Runs its body again and again", icon: IconRepeat },
  parallel: { label: "Parallel", does: "Starts branches together", icon: IconArrowsSplit2 },
  merge: { label: "Merge", does: "Waits for all, any or some of the branches", icon: IconArrowMerge },
  delay: { label: "Delay", does: "Waits for a time", icon: IconClockPause },
  wait_event: { label: "Wait for event", does: "Waits until a matching event comes", icon: IconMailbox },
  data_transform: { label: "Transform", does: "Computes values with expressions", icon: IconTransform },
  human_approval: { label: "Approval", does: "Waits for a person's yes or no", icon: IconUserCheck },
  workflow: { label: "Workflow", does: "Runs another workflow and waits for it", icon: IconSubtask },
};

export function kindOf(type: string): Kind {
  return kinds[type] ?? { label: type, does: "", icon: IconBriefcase };
}
