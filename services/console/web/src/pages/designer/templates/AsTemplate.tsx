import { Button, Group, Modal, Stack, Textarea, TextInput } from "@mantine/core";
import { useState } from "react";
import { api } from "../../../api/client";
import { faultOfId, idOf } from "../../../definition/ids";
import { say } from "../../../ui/say";
import { textOf, type Definition } from "../model/definition";

/** Saves what is shown as a template, for others to begin with. */
export function AsTemplate({ definition, onClose }: { definition: Definition; onClose: () => void }) {
  const [name, setName] = useState(textOf(definition["name"]));
  const [id, setId] = useState<string | null>(null);
  const [category, setCategory] = useState("");
  const [description, setDescription] = useState(textOf(definition["description"]));
  const save = api.useMutation("post", "/api/templates");
  const wanted = id ?? idOf(name);
  const fault = faultOfId(wanted);
  return (
    <Modal opened onClose={onClose} title="Save as a template">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (fault !== null) return;
          save.mutate(
            {
              body: { id: wanted, name, description, category, definition, workflow_id: null, version: null },
            },
            {
              onSuccess: () => {
                say("Others can start from it now.", `Saved as the template ${wanted}`);
                onClose();
              },
            },
          );
        }}
      >
        <Stack>
          <TextInput
            label="Name"
            value={name}
            onChange={({ currentTarget }) => setName(currentTarget.value)}
            required
            data-autofocus
          />
          <TextInput
            label="Id"
            value={wanted}
            onChange={({ currentTarget }) => setId(currentTarget.value)}
            error={fault}
          />
          <TextInput
            label="Category"
            value={category}
            onChange={({ currentTarget }) => setCategory(currentTarget.value)}
            placeholder="etl"
          />
          <Textarea
            label="Description"
            value={description}
            onChange={({ currentTarget }) => setDescription(currentTarget.value)}
            autosize
            minRows={2}
          />
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit" loading={save.isPending}>
              Save as a template
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
