import { Button, Stack, Text, Title } from "@mantine/core";
import { IconCopy, IconTrash } from "@tabler/icons-react";
import { useMemo } from "react";
import { NOTHING } from "../model/design";
import { removeLinks } from "../model/edges";
import { graphAt, linksOf } from "../model/graphs";
import { copied, paste, removeNodes } from "../model/nodes";
import { useDesign } from "../useDesign";
import { EdgePanel } from "./EdgePanel";
import { NodePanel } from "./NodePanel";
import { WorkflowPanel } from "./WorkflowPanel";

/** What is selected, and how it can be changed; the workflow itself where nothing is. */
export function Panel() {
  const { definition, scope, selection } = useDesign();
  const graph = graphAt(definition, scope);
  const links = useMemo(() => (graph === null ? [] : linksOf(graph)), [graph]);
  const [node, ...moreNodes] = selection.nodes;
  const [link, ...moreLinks] = selection.links;
  if (moreNodes.length > 0 || (node === undefined && moreLinks.length > 0)) return <ManyPanel />;
  const chosen = graph?.nodes.find(({ id }) => id === node);
  if (chosen !== undefined) return <NodePanel key={chosen.id} node={chosen} />;
  const edge = links.find(({ key }) => key === link);
  if (edge !== undefined) return <EdgePanel key={edge.key} link={edge} />;
  return <WorkflowPanel />;
}

function ManyPanel() {
  const { definition, scope, selection, edit } = useDesign();
  const { nodes, links } = selection;
  const double = () => {
    const pasted = paste(definition, scope, copied(definition, scope, nodes), { x: 40, y: 80 });
    edit(() => pasted.definition, undefined, { nodes: pasted.ids, links: [] });
  };
  return (
    <Stack gap="sm">
      <Title order={2} fz="md">
        {nodes.length > 0 ? `${nodes.length} nodes` : `${links.length} edges`} selected
      </Title>
      <Text size="xs" c="dimmed">
        Drag one to move all. Ctrl+C copies them as text, Ctrl+V pastes, here or in another window.
      </Text>
      {nodes.length === 0 ? null : (
        <Button variant="default" leftSection={<IconCopy size={15} />} onClick={double}>
          Duplicate
        </Button>
      )}
      <Button
        variant="default"
        leftSection={<IconTrash size={15} />}
        onClick={() =>
          edit((before) => removeNodes(removeLinks(before, scope, links), scope, nodes), undefined, NOTHING)
        }
      >
        Remove
      </Button>
    </Stack>
  );
}
