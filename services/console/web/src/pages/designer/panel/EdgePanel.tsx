import { Button, Stack, Text, Title } from "@mantine/core";
import { IconTrash } from "@tabler/icons-react";
import { EDGE_FIELDS } from "../fields/others";
import { NOTHING } from "../model/design";
import { removeLinks, setEdgeField } from "../model/edges";
import type { Link } from "../model/graphs";
import { useDesign } from "../useDesign";
import { FieldGroup, type Owner } from "./FieldGroup";
import { OwnFindings } from "./OwnFindings";

/** When one node leads on to the next. */
export function EdgePanel({ link }: { link: Link }) {
  const { scope, edit } = useDesign();
  const id = String(link.index ?? "implied");
  const of = link.edge ?? {};
  const owner: Owner = {
    kind: "edge",
    id,
    of,
    node: null,
    change: (change, field) => {
      const value = change(of)[field];
      edit((before) => setEdgeField(before, scope, link.key, field, value), `${link.key} ${field}`);
    },
  };
  return (
    <Stack gap="sm" data-testid="edge-panel">
      <Title order={2} fz="md">
        {link.source} → {link.target}
      </Title>
      <Text size="xs" c="dimmed">
        {WORDS[link.port ?? "edge"]}
      </Text>
      <OwnFindings kind="edge" id={id} />
      {link.port === "order" ? null : <FieldGroup fields={EDGE_FIELDS} owner={owner} />}
      <Button
        variant="default"
        leftSection={<IconTrash size={15} />}
        onClick={() => edit((before) => removeLinks(before, scope, [link.key]), undefined, NOTHING)}
        style={{ alignSelf: "flex-start" }}
      >
        Remove
      </Button>
    </Stack>
  );
}

const WORDS: Record<NonNullable<Link["port"]> | "edge", string> = {
  edge: "The second waits for the first.",
  true: "Taken when the condition is true.",
  false: "Taken when the condition is false.",
  branch: "A branch of the parallel.",
  order: "Implied by the order of the nodes (order_index), since no edges are written.",
};
