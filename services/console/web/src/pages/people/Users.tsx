/* Everybody who may ask, each with a role. */
import {
  ActionIcon,
  Anchor,
  Button,
  Group,
  Modal,
  Select,
  Stack,
  Text,
  TextInput,
  Tooltip,
} from "@mantine/core";
import { IconTrash, IconUserPlus } from "@tabler/icons-react";
import { useState } from "react";
import { Link } from "react-router";
import { api, type Schemas } from "../../api/client";
import { byCursor, PAGE_SIZE } from "../../api/pages";
import { useSession, type Role } from "../../shell/session";
import { Confirmed } from "../../ui/Confirmed";
import { List, type Column } from "../../ui/List";
import { Empty } from "../../ui/Said";
import { say } from "../../ui/say";
import { count } from "../../ui/times";
import { useFilters } from "../../ui/useFilters";
import { When } from "../../ui/When";
import { Keys } from "./Keys";
import { asRole, faultOfName, roles } from "./roles";

type User = Schemas["UserView"];

export function Users() {
  const [filter, setFilter] = useFilters();
  const [isAsked, setAsked] = useState(false);
  const session = useSession();
  const users = api.useInfiniteQuery(
    "get",
    "/api/users",
    { params: { query: { limit: PAGE_SIZE } } },
    byCursor,
  );
  const chosen = filter("user");
  return (
    <Stack gap="lg">
      <Stack gap="xs">
        <Group justify="space-between">
          <Text size="sm" c="dimmed" maw={640}>
            {session.auth === "off"
              ? "Authentication is off: roles and keys hold again once FlowForge is started with it."
              : "Each may do what the role says. A removed user's keys and sessions end at once."}
          </Text>
          <Button leftSection={<IconUserPlus size={16} aria-hidden />} onClick={() => setAsked(true)}>
            Add somebody
          </Button>
        </Group>
        <List
          of={users}
          label="People"
          columns={columns(session.user)}
          row={({ name }) => ({
            key: name,
            "data-testid": `user-row-${name}`,
            "data-selected": String(name === chosen),
          })}
          empty={<Empty title="Nobody yet">Add somebody, and send them a login link.</Empty>}
        />
      </Stack>
      {chosen === "" ? (
        <Text size="sm" c="dimmed">
          Choose somebody to see their keys, or to make a login link.
        </Text>
      ) : (
        <Keys key={chosen} user={chosen} />
      )}
      {isAsked ? (
        <NewUser
          onClose={() => setAsked(false)}
          onAdded={(user) => {
            setAsked(false);
            setFilter({ user });
          }}
        />
      ) : null}
    </Stack>
  );
}

function columns(me: string): Column<User>[] {
  return [
    {
      label: "Name",
      cell: ({ name }) => (
        <Anchor component={Link} to={`/people?user=${encodeURIComponent(name)}`} fw={550} size="sm">
          {name}
          {name === me ? " (you)" : ""}
        </Anchor>
      ),
    },
    { label: "Role", width: 190, cell: (user) => <RoleSelect of={user} /> },
    { label: "Keys", isExtra: true, align: "right", width: 80, cell: ({ keys_count }) => count(keys_count) },
    { label: "Added", isExtra: true, cell: ({ created_at }) => <When at={created_at} /> },
    { label: "By", isExtra: true, cell: ({ created_by }) => created_by ?? "–" },
    { label: "Remove", width: 80, cell: (user) => <Remove of={user} /> },
  ];
}

const choices = roles.map(({ role, does }) => ({ value: role, label: role, does }));

function RoleSelect({ of }: { of: User }) {
  const change = api.useMutation("patch", "/api/users/{user}", {
    onSuccess: ({ name, role }) => say(`${name} is ${role} now.`),
  });
  return (
    <Select
      size="xs"
      aria-label={`Role of ${of.name}`}
      data={choices}
      value={of.role}
      disabled={change.isPending}
      allowDeselect={false}
      comboboxProps={{ width: 300, position: "bottom-start" }}
      renderOption={({ option }) => (
        <span>
          <b>{option.label}</b>: {roles.find(({ role }) => role === option.value)?.does}
        </span>
      )}
      onChange={(value) => {
        const role = asRole(value);
        if (role !== null && role !== of.role)
          change.mutate({ params: { path: { user: of.name } }, body: { role } });
      }}
    />
  );
}

function Remove({ of }: { of: User }) {
  const remove = api.useMutation("delete", "/api/users/{user}");
  return (
    <Confirmed
      title={`Remove ${of.name}?`}
      text="All keys and sessions of this user end at once. What they did stays in the audit trail."
      button="Remove"
      onYes={() => remove.mutate({ params: { path: { user: of.name } } })}
    >
      {(ask) => (
        <Tooltip label="Remove">
          <ActionIcon
            variant="subtle"
            color="red"
            onClick={ask}
            loading={remove.isPending}
            aria-label={`Remove ${of.name}`}
          >
            <IconTrash size={16} />
          </ActionIcon>
        </Tooltip>
      )}
    </Confirmed>
  );
}

function NewUser({ onClose, onAdded }: { onClose: () => void; onAdded: (name: string) => void }) {
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("operator");
  const add = api.useMutation("post", "/api/users", { onSuccess: (user) => onAdded(user.name) });
  const fault = name === "" ? null : faultOfName(name);
  return (
    <Modal opened onClose={onClose} title="Add somebody">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (faultOfName(name) === null) add.mutate({ body: { name, role } });
        }}
      >
        <Stack gap="sm">
          <TextInput
            label="Name"
            description="Under which everything they do is written down"
            value={name}
            error={fault}
            required
            onChange={(event) => setName(event.currentTarget.value)}
            data-autofocus
          />
          <Select
            label="Role"
            data={choices}
            value={role}
            onChange={(value) => setRole(asRole(value) ?? role)}
            allowDeselect={false}
            description={`${role}: ${roles.find((one) => one.role === role)?.does ?? ""}`}
          />
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit" loading={add.isPending} disabled={name === "" || fault !== null}>
              Add
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
