/* The keys of one user: made, shown once, revoked. */
import {
  ActionIcon,
  Button,
  Group,
  Modal,
  Select,
  Stack,
  Text,
  TextInput,
  Title,
  Tooltip,
} from "@mantine/core";
import { IconKey, IconLogin2, IconTrash } from "@tabler/icons-react";
import { useState } from "react";
import { api, type Schemas } from "../../api/client";
import { byCursor, PAGE_SIZE } from "../../api/pages";
import { Confirmed } from "../../ui/Confirmed";
import { List, type Column } from "../../ui/List";
import { Empty } from "../../ui/Said";
import { Status } from "../../ui/Status";
import { useNow, When } from "../../ui/When";
import { expiresAt, expiries, standing } from "./roles";
import { ShownOnce } from "./ShownOnce";

type Key = Schemas["KeyView"];

export function Keys({ user }: { user: string }) {
  const [isAsked, setAsked] = useState(false);
  const [made, setMade] = useState<{ title: string; value: string; what: string; text: string } | null>(null);
  const keys = api.useInfiniteQuery(
    "get",
    "/api/users/{user}/keys",
    { params: { path: { user }, query: { limit: PAGE_SIZE } } },
    byCursor,
  );
  const link = api.useMutation("post", "/api/users/{user}/login-links", {
    onSuccess: ({ url }) =>
      setMade({
        title: `Login link for ${user}`,
        value: url,
        what: "link",
        text: "Whoever opens it within an hour is logged in as this user, once.",
      }),
  });
  return (
    <section aria-labelledby="keys-heading" data-testid="keys">
      <Group justify="space-between" mb="xs">
        <Title order={2} id="keys-heading">
          Keys of {user}
        </Title>
        <Group gap="xs">
          <Button
            variant="default"
            leftSection={<IconLogin2 size={16} aria-hidden />}
            loading={link.isPending}
            onClick={() => link.mutate({ params: { path: { user } } })}
          >
            Login link
          </Button>
          <Button leftSection={<IconKey size={16} aria-hidden />} onClick={() => setAsked(true)}>
            New key
          </Button>
        </Group>
      </Group>
      <List
        of={keys}
        label={`Keys of ${user}`}
        columns={columns(user)}
        row={({ id }) => ({ key: id, "data-testid": `key-row-${id}` })}
        empty={
          <div className="ff-panel">
            <Empty title="No keys">
              A key is for programs: the command line, a scraper, a script. For the console a login link is
              enough.
            </Empty>
          </div>
        }
      />
      {isAsked ? (
        <NewKey
          user={user}
          onClose={() => setAsked(false)}
          onMade={(value) => {
            setAsked(false);
            setMade({
              title: `A key for ${user}`,
              value,
              what: "key",
              text: "Programs send it as Authorization: Bearer …; the command line takes it as FLOWFORGE_KEY.",
            });
          }}
        />
      ) : null}
      {made === null ? null : (
        <ShownOnce title={made.title} value={made.value} what={made.what} onClose={() => setMade(null)}>
          {made.text}
        </ShownOnce>
      )}
    </section>
  );
}

function columns(user: string): Column<Key>[] {
  return [
    {
      label: "Key",
      cell: ({ id, description }) => (
        <Stack gap={0}>
          <Text size="sm">{description === "" ? "without a description" : description}</Text>
          <Text size="xs" c="dimmed" className="ff-mono">
            {id}
          </Text>
        </Stack>
      ),
    },
    { label: "Made", isExtra: true, cell: ({ created_at }) => <When at={created_at} /> },
    { label: "By", isExtra: true, cell: ({ created_by }) => created_by ?? "–" },
    { label: "Ends", cell: (key) => <Until of={key} /> },
    { label: "Revoke", width: 80, cell: (key) => <Revoke user={user} of={key} /> },
  ];
}

function Until({ of }: { of: Key }) {
  const now = useNow();
  if (of.expires_at === null) return <span>never ends</span>;
  const state = standing(of.expires_at, now);
  return (
    <Group gap={8}>
      <When at={of.expires_at} />
      {state === "good" ? null : (
        <Status
          status={state === "ended" ? "expired" : "waiting"}
          detail={state === "ended" ? undefined : "soon"}
        />
      )}
    </Group>
  );
}

function Revoke({ user, of }: { user: string; of: Key }) {
  const revoke = api.useMutation("delete", "/api/users/{user}/keys/{key_id}");
  const name = of.description === "" ? of.id : of.description;
  return (
    <Confirmed
      title={`Revoke “${name}”?`}
      text="Whatever uses it is turned away at once. This cannot be taken back; a new key can be made."
      button="Revoke"
      onYes={() => revoke.mutate({ params: { path: { user, key_id: of.id } } })}
    >
      {(ask) => (
        <Tooltip label="Revoke">
          <ActionIcon
            variant="subtle"
            color="red"
            onClick={ask}
            loading={revoke.isPending}
            aria-label={`Revoke ${name}`}
          >
            <IconTrash size={16} />
          </ActionIcon>
        </Tooltip>
      )}
    </Confirmed>
  );
}

function NewKey({
  user,
  onClose,
  onMade,
}: {
  user: string;
  onClose: () => void;
  onMade: (key: string) => void;
}) {
  const [description, setDescription] = useState("");
  const [expiry, setExpiry] = useState(expiries[2]?.label ?? "");
  const create = api.useMutation("post", "/api/users/{user}/keys", {
    onSuccess: ({ key }) => onMade(key ?? "It was made by an earlier request, and cannot be shown again."),
  });
  return (
    <Modal opened onClose={onClose} title={`New key for ${user}`}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          const chosen = expiries.find(({ label }) => label === expiry) ?? { label: "", days: null };
          create.mutate({
            params: { path: { user } },
            body: { description, expires_at: expiresAt(chosen, Date.now()) },
          });
        }}
      >
        <Stack gap="sm">
          <TextInput
            label="What it is for"
            placeholder="nightly import"
            value={description}
            maxLength={200}
            onChange={(event) => setDescription(event.currentTarget.value)}
            data-autofocus
          />
          <Select
            label="It ends"
            data={expiries.map(({ label }) => label)}
            value={expiry}
            onChange={(value) => setExpiry(value ?? "")}
            allowDeselect={false}
          />
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit" loading={create.isPending}>
              Make the key
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
