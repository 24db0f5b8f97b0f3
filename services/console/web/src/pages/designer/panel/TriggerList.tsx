/* The rules that start runs: short, with what they need most. */
import { Accordion, Button, Group, Menu, Stack, Switch, Text, TextInput } from "@mantine/core";
import { IconBolt, IconPlus, IconTrash } from "@tabler/icons-react";
import { saidAt } from "../check/findings";
import { TRIGGER_COMMON, TRIGGER_FIELDS, TRIGGER_TYPES } from "../fields/others";
import { fieldsOf, textOf, withKey, type TriggerDef } from "../model/definition";
import { SLUG } from "../model/slugs";
import { addTrigger, changeTrigger, removeTrigger } from "../model/triggers";
import { useDesign } from "../useDesign";
import { FieldGroup, type Owner } from "./FieldGroup";
import { IdField } from "./IdField";
import { OwnFindings } from "./OwnFindings";

export function TriggerList() {
  const { definition, edit } = useDesign();
  const triggers = definition.triggers ?? [];
  return (
    <Stack gap={6}>
      <Text size="sm" fw={600}>
        Triggers ({triggers.length}){triggers.length > 1 ? ": runs when ANY trigger fires" : ""}
      </Text>
      {triggers.length === 0 ? (
        <Text size="xs" c="dimmed">
          Without one it is run by hand only.
        </Text>
      ) : (
        <Accordion
          multiple
          variant="contained"
          styles={{ content: { padding: 10 }, label: { fontSize: 13, padding: "8px 0" } }}
        >
          {triggers.map((trigger, index) => (
            <TriggerItem key={index} trigger={trigger} index={index} />
          ))}
        </Accordion>
      )}
      <Menu position="bottom-start" withinPortal>
        <Menu.Target>
          <Button
            variant="default"
            size="compact-sm"
            leftSection={<IconPlus size={14} />}
            style={{ alignSelf: "flex-start" }}
          >
            {triggers.length === 0 ? "Add a trigger" : "Add another trigger"}
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          {TRIGGER_TYPES.map(([type, label, help]) => (
            <Menu.Item key={type} onClick={() => edit((before) => addTrigger(before, type))}>
              <Text size="sm">{label}</Text>
              <Text size="xs" c="dimmed">
                {help}
              </Text>
            </Menu.Item>
          ))}
        </Menu.Dropdown>
      </Menu>
    </Stack>
  );
}

function TriggerItem({ trigger, index }: { trigger: TriggerDef; index: number }) {
  const { definition, edit, found } = useDesign();
  const id = String(index);
  const change = (how: (trigger: TriggerDef) => TriggerDef, field: string) =>
    edit((before) => changeTrigger(before, index, how), `trigger ${id} ${field}`);
  const owner: Owner = {
    kind: "trigger",
    id,
    of: trigger,
    node: null,
    change: (how, field) => change((one) => how(one) as TriggerDef, field),
  };
  const label = TRIGGER_TYPES.find(([type]) => type === trigger.type)?.[1] ?? trigger.type;
  const isWrong = found.some(({ place }) => place.kind === "trigger" && place.id === id);
  return (
    <Accordion.Item value={id} data-testid={`designer-trigger-${trigger.id}`}>
      <Accordion.Control icon={<IconBolt size={16} aria-hidden />} fz="sm">
        {textOf(trigger["name"]) || trigger.id} · {label}
        {detailOf(trigger)}
        {isWrong ? " · has a fault" : ""}
      </Accordion.Control>
      <Accordion.Panel>
        <Stack gap="sm">
          <OwnFindings kind="trigger" id={id} />
          <TextInput
            size="xs"
            label="Name"
            value={textOf(trigger["name"])}
            placeholder={trigger.id}
            onChange={({ currentTarget: { value } }) =>
              change((before) => withKey(before, "name", value === "" ? undefined : value), "name")
            }
          />
          <IdField
            key={trigger.id}
            id={trigger.id}
            fault={saidAt(found, "trigger", id, "id")}
            faultOf={(wanted) =>
              !SLUG.test(wanted)
                ? "Use lower-case letters, digits, - and _; at most 63 characters."
                : definition.triggers?.some((other, at) => at !== index && other.id === wanted) === true
                  ? `Another trigger is called ${wanted} already: choose another id.`
                  : null
            }
            onId={(wanted) => change((before) => ({ ...before, id: wanted }), "id")}
          />
          <FieldGroup fields={TRIGGER_FIELDS[trigger.type] ?? []} owner={owner} />
          <FieldGroup fields={TRIGGER_COMMON} owner={owner} />
          <Group justify="space-between">
            <Switch
              size="xs"
              label="Enabled"
              checked={trigger["enabled"] !== false}
              onChange={({ currentTarget: { checked } }) =>
                change((before) => withKey(before, "enabled", checked ? undefined : false), "enabled")
              }
            />
            <Button
              variant="default"
              size="compact-xs"
              leftSection={<IconTrash size={13} />}
              onClick={() => edit((before) => removeTrigger(before, index))}
            >
              Remove
            </Button>
          </Group>
        </Stack>
      </Accordion.Panel>
    </Accordion.Item>
  );
}

function detailOf({ config }: TriggerDef): string {
  const { cron, event_type: type } = fieldsOf(config);
  const said = textOf(cron) || textOf(type);
  return said === "" ? "" : ` · ${said}`;
}
