/* Fields of one thing, each with what the server says about it. */
import { Accordion, Stack } from "@mantine/core";
import { useMemo, useState } from "react";
import { saidAt, type Place } from "../check/findings";
import { namesFor } from "../check/names";
import { Field, isShown } from "../fields/Field";
import { readField, writeField, type FieldSpec } from "../fields/spec";
import { nameOf, type Fields, type NodeDef } from "../model/definition";
import { graphAt } from "../model/graphs";
import { useDesign } from "../useDesign";

export interface Owner {
  kind: Place["kind"];
  id: string;
  of: Fields;
  /** Of nodes. */
  node: NodeDef | null;
  change: (change: (of: Fields) => Fields, field: string) => void;
}

export function FieldGroup({ fields, owner }: { fields: readonly FieldSpec[]; owner: Owner }) {
  const { definition, scope, found, secrets } = useDesign();
  const nodes = useMemo(
    () =>
      (graphAt(definition, scope)?.nodes ?? [])
        .filter(({ id }) => owner.kind !== "node" || id !== owner.id)
        .map((node) => ({ id: node.id, type: node.type, label: labelOf(node) })),
    [definition, scope, owner.kind, owner.id],
  );
  return (
    <Stack gap="sm">
      {fields
        .filter((spec) => isShown(spec, owner.of))
        .map((spec) => (
          <Field
            key={`${owner.kind} ${owner.id} ${spec.name}`}
            spec={spec}
            value={readField(owner.of, spec.name)}
            onChange={(value) =>
              owner.change((of) => writeField(of, spec.name, value, spec.unwritten), spec.name)
            }
            fault={saidAt(found, owner.kind, owner.id, spec.name)}
            names={() => namesFor(definition, scope, owner.node, spec.name, secrets)}
            nodes={nodes}
            ownerId={owner.id}
          />
        ))}
    </Stack>
  );
}

function labelOf(node: NodeDef): string {
  return nameOf(node) === node.id ? node.id : `${nameOf(node)} (${node.id})`;
}

export interface Group {
  title: string;
  fields: readonly FieldSpec[];
}

/** Groups that open; those in which something is set or wrong say so. */
export function FieldGroups({ groups, owner }: { groups: readonly Group[]; owner: Owner }) {
  const { found } = useDesign();
  const [opened, setOpened] = useState<string[]>([]);
  const shown = groups.filter(({ fields }) => fields.some((spec) => isShown(spec, owner.of)));
  const noted = (fields: readonly FieldSpec[]) => {
    const isWrong = fields.some(({ name }) => saidAt(found, owner.kind, owner.id, name) !== null);
    if (isWrong) return " · has a fault";
    const count = fields.filter(({ name }) => readField(owner.of, name) !== undefined).length;
    return count === 0 ? "" : ` · ${count} set`;
  };
  return (
    <Accordion
      multiple
      value={opened}
      onChange={setOpened}
      variant="default"
      styles={{ content: { padding: "4px 0 12px" }, control: { paddingInline: 0 }, label: { fontSize: 13 } }}
    >
      {shown.map(({ title, fields }) => (
        <Accordion.Item key={title} value={title}>
          <Accordion.Control>
            {title}
            {noted(fields)}
          </Accordion.Control>
          <Accordion.Panel>
            {/* with each key typed all of them would be drawn anew */}
            {opened.includes(title) ? <FieldGroup fields={fields} owner={owner} /> : null}
          </Accordion.Panel>
        </Accordion.Item>
      ))}
    </Accordion>
  );
}
