/* What went wrong, which nodes it touches, and what to do about it. */
import { Text } from "@mantine/core";
import { IconAlertCircle } from "@tabler/icons-react";
import { errorOf } from "../../api/narrow";

interface FaultProps {
  error: unknown;
  /** Leads to a node. */
  onNode?: (nodeId: string) => void;
}

export function Fault({ error: given, onNode }: FaultProps) {
  const error = errorOf(given);
  if (error === null) return null;
  return (
    <div className="ff-panel ff-fault" role="group" aria-label="What went wrong" data-testid="fault">
      <IconAlertCircle
        size={18}
        aria-hidden
        style={{ flexShrink: 0, color: "var(--ff-failed)", marginTop: 2 }}
      />
      <div style={{ minWidth: 0 }}>
        <Text size="sm" style={{ overflowWrap: "anywhere" }}>
          <b className="ff-mono" style={{ color: "var(--ff-failed)" }}>
            {error.code}
          </b>{" "}
          {error.message}
        </Text>
        {error.suggestion === null ? null : (
          <Text size="sm">
            <b>What to do:</b> {error.suggestion}
          </Text>
        )}
        <Text
          size="xs"
          c="dimmed"
          component="div"
          style={{ display: "flex", gap: "2px 14px", flexWrap: "wrap" }}
        >
          <Nodes label="Nodes" ids={error.affectedNodes} onNode={onNode} separator=", " />
          {error.dependencyChain.length < 2 ? null : (
            <Nodes label="The way there" ids={error.dependencyChain} onNode={onNode} separator=" → " />
          )}
        </Text>
      </div>
    </div>
  );
}

interface NodesProps {
  label: string;
  ids: string[];
  onNode: FaultProps["onNode"];
  separator: string;
}

const SHOWN_MAX = 12;

function Nodes({ label, ids, onNode, separator }: NodesProps) {
  if (ids.length === 0) return null;
  return (
    <span>
      {label}:{" "}
      {ids.slice(0, SHOWN_MAX).map((id, index) => (
        <span key={`${index} ${id}`}>
          {index === 0 ? "" : separator}
          {onNode === undefined ? (
            id
          ) : (
            <button type="button" className="ff-link" onClick={() => onNode(id)}>
              {id}
            </button>
          )}
        </span>
      ))}
      {ids.length > SHOWN_MAX ? ` and ${ids.length - SHOWN_MAX} more` : ""}
    </span>
  );
}
