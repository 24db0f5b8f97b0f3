import { Text, Tooltip } from "@mantine/core";
import { memo } from "react";
import { kinds } from "../../graph/kinds";

export const DRAGGED = "application/x-flowforge-node";

/** The node types: dragged onto the canvas, or clicked. */
export const Library = memo(function Library({ onAdd }: { onAdd: (type: string) => void }) {
  return (
    <nav className="ff-designer-library" aria-label="Node types" data-testid="library">
      <Text size="xs" c="dimmed" px={8} py={4} className="ff-designer-hint">
        Drag onto the canvas. A click adds after what is selected.
      </Text>
      {Object.entries(kinds).map(([type, { label, does, icon: Sign }]) => (
        <Tooltip key={type} label={`${label}: ${does}`} position="right">
          <button
            type="button"
            className="ff-designer-kind"
            draggable
            onDragStart={(event) => {
              event.dataTransfer.setData(DRAGGED, type);
              event.dataTransfer.effectAllowed = "copy";
            }}
            onClick={() => onAdd(type)}
            data-testid={`library-${type}`}
            aria-label={`Add ${label}`}
          >
            <Sign size={17} stroke={1.7} aria-hidden style={{ flexShrink: 0 }} />
            <span>{label}</span>
          </button>
        </Tooltip>
      ))}
    </nav>
  );
});
