import { Anchor, Group, Stack, Text, Title } from "@mantine/core";
import type { ReactNode } from "react";
import { Link } from "react-router";
import type { Schemas } from "../../api/client";
import { List, type Column } from "../../ui/List";
import { Status } from "../../ui/Status";
import { When } from "../../ui/When";

type Approval = Schemas["Approval"];
type Ended = Parameters<typeof List<Approval>>[0]["of"];

/** What was asked for and is decided. */
export function Decided({ of, filter }: { of: Ended; filter: ReactNode }) {
  const pages = of.data?.pages.map(({ items }) => ({
    items: items.filter(({ status }) => status !== "open"),
  }));
  return (
    <Stack gap="xs">
      <Group justify="space-between">
        <Title order={2}>Decided</Title>
        {filter}
      </Group>
      <List
        of={{ ...of, data: pages === undefined ? undefined : { pages } }}
        columns={columns}
        row={(one) => ({
          key: `${one.id} ${one.position}`,
          "data-testid": `approval-${one.id}`,
          "data-status": one.status,
        })}
        label="Decided approvals, newest first"
        empty={
          <Text size="sm" c="dimmed">
            None yet.
          </Text>
        }
      />
    </Stack>
  );
}

const columns: Column<Approval>[] = [
  {
    label: "Asked",
    cell: (one) => (
      <div>
        <Anchor component={Link} to={`/runs/${one.run_id}?node=${one.node_id}`} size="sm">
          {one.message === "" ? one.node_id : one.message}
        </Anchor>
        <Text size="xs" c="dimmed">
          {one.workflow_id} · {one.node_id}
        </Text>
      </div>
    ),
  },
  { label: "Answer", cell: ({ status }) => <Status status={status} /> },
  {
    label: "By",
    cell: (one) => (
      <div>
        <Text size="sm">{one.decided_by ?? (one.status === "cancelled" ? "–" : "nobody, in time")}</Text>
        {one.comment === null || one.comment === "" ? null : (
          <Text size="xs" c="dimmed">
            “{one.comment}”
          </Text>
        )}
      </div>
    ),
  },
  { label: "When", cell: ({ decided_at: at }) => <When at={at} />, isExtra: true, align: "right" },
];
