/* What went wrong, which nodes it touches, and what to do about it. */
import { Alert, Text } from "@mantine/core";
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
    <Alert
      variant="light"
      color="red"
      icon={<IconAlertCircle />}
      title={<span className="ff-mono">{error.code}</span>}
      data-testid="fault"
      p="xs"
    >
      <Text size="sm" style={{ overflowWrap: "anywhere" }}>
        {error.message}
      </Text>
      {error.suggestion === null ? null : (
        <Text size="sm" mt={4}>
          <b>What to do:</b> {error.suggestion}
        </Text>
      )}
      <Nodes label="Nodes" ids={error.affectedNodes} onNode={onNode} separator=", " />
      {error.dependencyChain.length < 2 ? null : (
        <Nodes label="The way there" ids={error.dependencyChain} onNode={onNode} separator=" → " />
      )}
    </Alert>
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
    <Text size="xs" mt={4} component="div">
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
    </Text>
  );
}
