import { Button, Group, Stack, Text, TextInput, Textarea, Title } from "@mantine/core";
import { IconTrash } from "@tabler/icons-react";
import { kindOf } from "../../../graph/kinds";
import { saidAt } from "../check/findings";
import { commonFields, NODE_FIELDS } from "../fields/nodes";
import { fieldOf, textOf, withKey, type NodeDef } from "../model/definition";
import { NOTHING } from "../model/design";
import { changeNode, faultOfId, removeNodes, renameNode } from "../model/nodes";
import { SCRIPTS } from "../model/starting";
import { useDesign } from "../useDesign";
import { Connections } from "./Connections";
import { FieldGroup, FieldGroups, type Owner } from "./FieldGroup";
import { IdField } from "./IdField";
import { OwnFindings } from "./OwnFindings";

/** What one node is told: its own fields, those of its type, and those that every node has. */
export function NodePanel({ node }: { node: NodeDef }) {
  const { definition, scope, edit, found } = useDesign();
  const kind = kindOf(node.type);
  const Sign = kind.icon;
  const owner: Owner = {
    kind: "node",
    id: node.id,
    of: node,
    node,
    change: (change, field) =>
      edit(
        (before) =>
          changeNode(before, scope, node.id, (one) => withItsScript(one, change(one) as NodeDef, field)),
        `${node.id} ${field}`,
      ),
  };
  const set = (field: string, value: string) =>
    owner.change((of) => withKey(of, field, value === "" ? undefined : value), field);
  return (
    <Stack gap="sm" key={node.id} data-testid="node-panel">
      <Group gap="xs" wrap="nowrap">
        <Sign size={20} aria-hidden style={{ flexShrink: 0 }} />
        <div>
          <Title order={2} fz="md">
            {kind.label}
          </Title>
          <Text size="xs" c="dimmed">
            {kind.does}
          </Text>
        </div>
      </Group>
      <OwnFindings kind="node" id={node.id} />
      <TextInput
        size="xs"
        label="Name"
        value={textOf(node["name"])}
        placeholder={node.id}
        onChange={({ currentTarget }) => set("name", currentTarget.value)}
        data-testid="field-name"
      />
      <IdField
        key={node.id}
        id={node.id}
        help="Others name it so; what names it follows when it changes"
        fault={saidAt(found, "node", node.id, "id")}
        faultOf={(id) => faultOfId(definition, node.id, id)}
        onId={(id) =>
          edit((before) => renameNode(before, node.id, id), undefined, { nodes: [id], links: [] })
        }
      />
      <FieldGroup fields={NODE_FIELDS[node.type] ?? []} owner={owner} />
      <Connections node={node} />
      <FieldGroups groups={commonFields(node.type)} owner={owner} />
      <Textarea
        size="xs"
        label="Description"
        autosize
        minRows={2}
        value={textOf(node["description"])}
        onChange={({ currentTarget }) => set("description", currentTarget.value)}
      />
      <Button
        variant="default"
        leftSection={<IconTrash size={15} />}
        onClick={() => edit((before) => removeNodes(before, scope, [node.id]), undefined, NOTHING)}
        style={{ alignSelf: "flex-start" }}
      >
        Remove
      </Button>
    </Stack>
  );
}

/** A script that nobody changed yet is written anew in the language that is chosen. */
function withItsScript(before: NodeDef, after: NodeDef, field: string): NodeDef {
  if (field !== "language" || before.type !== "script") return after;
  const isUntouched = Object.values(SCRIPTS).includes(textOf(fieldOf(before, "source")));
  const script = SCRIPTS[textOf(fieldOf(after, "language"))];
  if (!isUntouched || script === undefined) return after;
  return "source" in after ? { ...after, source: script } : after;
}
