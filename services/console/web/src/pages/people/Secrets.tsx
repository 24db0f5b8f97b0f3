/* Names under which workflows use secrets; values are set, and never shown. */
import {
  ActionIcon,
  Button,
  Group,
  Modal,
  PasswordInput,
  Stack,
  Text,
  TextInput,
  Tooltip,
} from "@mantine/core";
import { IconPencil, IconPlus, IconTrash } from "@tabler/icons-react";
import { useState } from "react";
import { api, type Schemas } from "../../api/client";
import { byCursor, PAGE_SIZE } from "../../api/pages";
import { Confirmed } from "../../ui/Confirmed";
import { List, type Column } from "../../ui/List";
import { Empty } from "../../ui/Said";
import { say } from "../../ui/say";
import { When } from "../../ui/When";

type Secret = Schemas["SecretView"];

export function Secrets() {
  const [asked, setAsked] = useState<string | null>(null);
  const secrets = api.useInfiniteQuery(
    "get",
    "/api/secrets",
    { params: { query: { limit: PAGE_SIZE } } },
    byCursor,
  );
  return (
    <Stack gap="xs">
      <Group justify="space-between">
        <Text size="sm" c="dimmed" maw={640}>
          Workflows name them as <code className="ff-mono">{"${secrets.<name>}"}</code> in HTTP calls, SQL,
          prompts and the environment of scripts. Only the worker that needs one ever reads it.
        </Text>
        <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={() => setAsked("")}>
          Add a secret
        </Button>
      </Group>
      <List
        of={secrets}
        label="Secrets"
        columns={columns(setAsked)}
        row={({ name }) => ({ key: name, "data-testid": `secret-row-${name}` })}
        empty={
          <Empty title="No secrets">
            Passwords and keys of other systems belong here, not into definitions.
          </Empty>
        }
      />
      {asked === null ? null : <SetSecret name={asked} onClose={() => setAsked(null)} />}
    </Stack>
  );
}

function columns(onSet: (name: string) => void): Column<Secret>[] {
  return [
    { label: "Name", cell: ({ name }) => <code className="ff-mono">{name}</code> },
    { label: "Set", cell: ({ updated_at }) => <When at={updated_at} /> },
    { label: "By", isExtra: true, cell: ({ updated_by }) => updated_by ?? "–" },
    { label: "Times", isExtra: true, align: "right", cell: ({ version }) => version },
    {
      label: "Change",
      width: 110,
      cell: ({ name }) => (
        <Group gap={4} wrap="nowrap">
          <Tooltip label="Set anew">
            <ActionIcon
              variant="subtle"
              color="gray"
              onClick={() => onSet(name)}
              aria-label={`Set ${name} anew`}
            >
              <IconPencil size={16} />
            </ActionIcon>
          </Tooltip>
          <Remove name={name} />
        </Group>
      ),
    },
  ];
}

function Remove({ name }: { name: string }) {
  const remove = api.useMutation("delete", "/api/secrets/{name}");
  return (
    <Confirmed
      title={`Delete the secret ${name}?`}
      text="Nodes that name it fail from now on, until it is set again."
      button="Delete"
      onYes={() => remove.mutate({ params: { path: { name } } })}
    >
      {(ask) => (
        <Tooltip label="Delete">
          <ActionIcon variant="subtle" color="red" onClick={ask} aria-label={`Delete ${name}`}>
            <IconTrash size={16} />
          </ActionIcon>
        </Tooltip>
      )}
    </Confirmed>
  );
}

function SetSecret({ name: given, onClose }: { name: string; onClose: () => void }) {
  const [name, setName] = useState(given);
  const [value, setValue] = useState("");
  const set = api.useMutation("put", "/api/secrets/{name}", {
    onSuccess: () => {
      say(`The secret ${name} is set.`);
      onClose();
    },
  });
  return (
    <Modal opened onClose={onClose} title={given === "" ? "Add a secret" : `Set ${given} anew`}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          set.mutate({ params: { path: { name } }, body: { value } });
        }}
      >
        <Stack gap="sm">
          {given === "" ? (
            <TextInput
              label="Name"
              value={name}
              required
              onChange={(event) => setName(event.currentTarget.value.trim())}
              data-autofocus
            />
          ) : null}
          <PasswordInput
            label="Value"
            value={value}
            required
            autoComplete="off"
            onChange={(event) => setValue(event.currentTarget.value)}
          />
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit" loading={set.isPending} disabled={name === "" || value === ""}>
              Set
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
