/* The rules that start runs: each in words, changed in the form that all pages have for it. */
import { ActionIcon, Button, Group, Stack, Switch, Text, Tooltip } from "@mantine/core";
import { IconPencil, IconPlus, IconTrash } from "@tabler/icons-react";
import { useState } from "react";
import { triggerKindOf } from "../../../triggers/kinds";
import { blank, patchOf, readTrigger, written, type Trigger } from "../../../triggers/trigger";
import { named } from "../../../triggers/TriggerForm";
import { TriggerModal } from "../../../triggers/TriggerModal";
import { Words } from "../../../triggers/Words";
import { inWords } from "../../../triggers/words";
import { textOf, withKey, type TriggerDef } from "../model/definition";
import { addTrigger, changeTrigger, merged, removeTrigger } from "../model/triggers";
import { useDesign } from "../useDesign";
import { OwnFindings } from "./OwnFindings";

export function TriggerList() {
  const { definition } = useDesign();
  /** The index of the one that is changed; that of none for a new one. */
  const [opened, setOpened] = useState<number | null>(null);
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
        triggers.map((trigger, index) => (
          <TriggerItem key={index} trigger={trigger} index={index} onOpen={() => setOpened(index)} />
        ))
      )}
      <Button
        variant="default"
        size="compact-sm"
        leftSection={<IconPlus size={14} />}
        onClick={() => setOpened(triggers.length)}
        style={{ alignSelf: "flex-start" }}
        data-testid="add-trigger"
      >
        {triggers.length === 0 ? "Add a trigger" : "Add another trigger"}
      </Button>
      {opened === null ? null : <TriggerEditor index={opened} onClose={() => setOpened(null)} />}
    </Stack>
  );
}

function TriggerItem(props: { trigger: TriggerDef; index: number; onOpen: () => void }) {
  const { trigger, index, onOpen } = props;
  const { edit } = useDesign();
  const name = textOf(trigger["name"]) || trigger.id;
  const { icon: Sign, label } = triggerKindOf(trigger.type);
  return (
    <div className="ff-panel" style={{ padding: "6px 8px" }} data-testid={`designer-trigger-${trigger.id}`}>
      <Group gap={6} wrap="nowrap">
        <Tooltip label={label}>
          <Sign size={16} aria-label={label} style={{ flexShrink: 0 }} />
        </Tooltip>
        <Text size="sm" fw={600} truncate style={{ flex: 1 }}>
          {name}
        </Text>
        <Switch
          size="xs"
          aria-label={`${name} is on`}
          checked={trigger["enabled"] !== false}
          onChange={({ currentTarget: { checked } }) =>
            edit((before) =>
              changeTrigger(before, index, (one) => withKey(one, "enabled", checked ? undefined : false)),
            )
          }
        />
        <ActionIcon variant="subtle" color="gray" size="sm" onClick={onOpen} aria-label={`Change ${name}`}>
          <IconPencil size={15} />
        </ActionIcon>
        <ActionIcon
          variant="subtle"
          color="gray"
          size="sm"
          onClick={() => edit((before) => removeTrigger(before, index))}
          aria-label={`Remove ${name}`}
        >
          <IconTrash size={15} />
        </ActionIcon>
      </Group>
      <Text size="xs" c="dimmed">
        <Words of={inWords(readTrigger(trigger))} />
      </Text>
      <OwnFindings kind="trigger" id={String(index)} />
    </div>
  );
}

function TriggerEditor({ index, onClose }: { index: number; onClose: () => void }) {
  const { definition, version, edit } = useDesign();
  const before = definition.triggers?.[index];
  const [trigger, setTrigger] = useState<Trigger>(() =>
    before === undefined ? blank("event") : readTrigger(before),
  );
  const takenIds = (definition.triggers ?? []).filter((one) => one !== before).map(({ id }) => id);
  const done = () => {
    const whole = written(named(trigger, takenIds)) as TriggerDef;
    const patch = before === undefined ? null : patchOf(written(readTrigger(before)), whole);
    edit((one) =>
      before === undefined
        ? addTrigger(one, whole)
        : changeTrigger(one, index, (old) => (patch === null ? old : (merged(old, patch) as TriggerDef))),
    );
    onClose();
  };
  return (
    <TriggerModal
      value={trigger}
      onChange={setTrigger}
      isNew={before === undefined}
      takenIds={takenIds}
      workflowId={version === null ? null : textOf(definition["id"])}
      onClose={onClose}
      onSubmit={done}
      button="Take over"
      note={
        <Text size="xs" c="dimmed" mr="auto">
          In force once the workflow is saved.
        </Text>
      }
      isDraft
    />
  );
}
