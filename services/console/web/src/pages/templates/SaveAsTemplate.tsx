import { Button, Group, Modal, Stack, Text, Textarea, TextInput } from "@mantine/core";
import { useState } from "react";
import { api, type Schemas } from "../../api/client";
import { faultOfId, idOf } from "../../definition/ids";
import { say } from "../../ui/say";

interface SaveAsTemplateProps {
  /** Without an id it follows the name, until somebody chooses one. */
  start: { id?: string; name: string; description: string };
  /** What is saved: a version of a workflow, or a definition. */
  of: Pick<Schemas["NewTemplate"], "workflow_id" | "version" | "definition">;
  /** The names of its variables. */
  variables: string[];
  onClose: () => void;
}

/** Keeps a workflow as a template, for others to begin with. */
export function SaveAsTemplate({ start, of, variables, onClose }: SaveAsTemplateProps) {
  const [name, setName] = useState(start.name);
  const [chosenId, setChosenId] = useState(start.id ?? null);
  const [description, setDescription] = useState(start.description);
  const [category, setCategory] = useState("");
  const save = api.useMutation("post", "/api/templates", {
    onSuccess: () => {
      say(`“${name}” is among the templates now.`);
      onClose();
    },
  });
  const id = chosenId ?? idOf(name);
  const fault = faultOfId(id);
  return (
    <Modal opened onClose={onClose} title="Save as template">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (fault === null) save.mutate({ body: { ...of, id, name, description, category } });
        }}
      >
        <Stack gap="sm">
          <Text size="sm">
            Others can start from it. Its variables become what they fill in:{" "}
            {variables.join(", ") || "it has none"}.
          </Text>
          <TextInput
            label="Name"
            value={name}
            required
            onChange={(event) => setName(event.currentTarget.value)}
            data-autofocus
          />
          <TextInput
            label="Id"
            value={id}
            required
            error={fault}
            onChange={(event) => setChosenId(event.currentTarget.value)}
          />
          <Textarea
            label="What it shows"
            value={description}
            autosize
            minRows={2}
            onChange={(event) => setDescription(event.currentTarget.value)}
          />
          <TextInput
            label="Category"
            placeholder="etl"
            value={category}
            onChange={(event) => setCategory(event.currentTarget.value)}
          />
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit" loading={save.isPending}>
              Save
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
