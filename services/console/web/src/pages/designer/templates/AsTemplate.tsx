import { Button, Group, Modal, Stack, Textarea, TextInput } from "@mantine/core";
import { useState } from "react";
import { api } from "../../../api/client";
import { say } from "../../../ui/say";
import { textOf, type Definition } from "../model/definition";
import { SLUG, slugOf } from "../model/slugs";

/** Saves what is shown as a template, for others to begin with. */
export function AsTemplate({ definition, onClose }: { definition: Definition; onClose: () => void }) {
  const [name, setName] = useState(textOf(definition["name"]));
  const [id, setId] = useState<string | null>(null);
  const [category, setCategory] = useState("");
  const [description, setDescription] = useState(textOf(definition["description"]));
  const save = api.useMutation("post", "/api/templates");
  const wanted = id ?? slugOf(name);
  const isWrong = !SLUG.test(wanted);
  return (
    <Modal opened onClose={onClose} title="Save as a template">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (isWrong) return;
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
            error={isWrong ? "Use lower-case letters, digits, - and _; at most 63 characters." : null}
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
