/* Why the run does not go on: what it waits for, in plain words, and what can be done about it. */
import { Anchor, Group, Text } from "@mantine/core";
import { IconHourglass, IconPlayerPause } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { Link } from "react-router";
import { fieldsOf, textOf, textsOf } from "../../api/narrow";
import { useNow } from "../../ui/When";
import { waitsOf, type NodeRun } from "./drawn";
import { RunLink } from "./Header";
import type { Run } from "./useRun";
import { slotWords, waitWords } from "./words";

const SHOWN_MAX = 3;

export function Waits({ run, onNode }: { run: Run; onNode: (nodeId: string) => void }) {
  const now = useNow(run.as_of === undefined);
  const then = run.as_of === undefined ? now : Date.parse(run.as_of.at);
  if (run.status === "pending") {
    const words = slotWords(run.waiting_for);
    if (words === null) return null;
    return (
      <Wait icon={<IconHourglass size={16} aria-hidden />} colour="var(--ff-queued)">
        It {words}
        {(run.waiting_for?.holders.length ?? 0) === 0 ? null : (
          <>
            {", held by "}
            {run.waiting_for?.holders.map((holder, index) => (
              <span key={holder}>
                {index === 0 ? "" : ", "}
                <RunLink runId={holder} />
              </span>
            ))}
          </>
        )}
      </Wait>
    );
  }
  if (run.status === "paused") {
    const before = textsOf(run.paused_before);
    return (
      <Wait icon={<IconPlayerPause size={16} aria-hidden />} colour="var(--ff-paused)">
        {before.length === 0 ? (
          "Paused: nothing new starts until somebody resumes it"
        ) : (
          <>
            Paused before{" "}
            {before.slice(0, SHOWN_MAX).map((id) => (
              <span key={id}>
                <NodeButton id={id} onNode={onNode} />{" "}
              </span>
            ))}
            {before.length > SHOWN_MAX ? `and ${before.length - SHOWN_MAX} more` : ""}
          </>
        )}
      </Wait>
    );
  }
  if (run.status !== "running") return null;
  const waits = waitsOf(run.node_runs ?? []);
  if (waits.length === 0) return null;
  return (
    <div>
      {waits.slice(0, SHOWN_MAX).map((node) => (
        <Wait
          key={node.node_id}
          icon={<IconHourglass size={16} aria-hidden />}
          colour={node.status === "queued" ? "var(--ff-queued)" : "var(--ff-waiting)"}
        >
          <NodeButton id={node.node_id} onNode={onNode} /> {waitWords(node.waiting_for, then)}
          <Remedy node={node} />
        </Wait>
      ))}
      {waits.length > SHOWN_MAX ? (
        <Text size="xs" c="dimmed">
          and {waits.length - SHOWN_MAX} more nodes that wait
        </Text>
      ) : null}
    </div>
  );
}

function Wait({ icon, colour, children }: { icon: ReactNode; colour: string; children: ReactNode }) {
  return (
    <Group gap={6} wrap="nowrap" align="flex-start" data-testid="waits" style={{ color: colour }}>
      <span style={{ marginTop: 2 }}>{icon}</span>
      <Text size="sm" component="div" style={{ overflowWrap: "anywhere" }}>
        {children}
      </Text>
    </Group>
  );
}

function NodeButton({ id, onNode }: { id: string; onNode: (nodeId: string) => void }) {
  return (
    <button type="button" className="ff-link" onClick={() => onNode(id)}>
      {id}
    </button>
  );
}

function Remedy({ node }: { node: Pick<NodeRun, "waiting_for" | "child_run_id"> }) {
  const wait = fieldsOf(node.waiting_for);
  const kind = textOf(wait["for"]);
  if (kind === "approval")
    return (
      <>
        {" · "}
        <Anchor component={Link} to="/approvals" size="sm">
          Decide
        </Anchor>
      </>
    );
  const child = textOf(wait["child_run_id"]) ?? node.child_run_id;
  if (kind === "child" && child !== null)
    return (
      <>
        {" · "}
        <RunLink runId={child} />
      </>
    );
  return null;
}
