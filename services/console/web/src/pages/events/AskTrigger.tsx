import { Group, Select, Text } from "@mantine/core";
import { useState } from "react";
import { useNavigate } from "react-router";
import { api } from "../../api/client";
import { triggerKindOf } from "../../triggers/kinds";

const FOUND_MAX = 50;

/** A trigger that is not in the list left no record: it is asked at its own page. */
export function AskTrigger({ eventId }: { eventId: string }) {
  const go = useNavigate();
  const [search, setSearch] = useState("");
  const triggers = api.useQuery("get", "/api/triggers", {
    params: { query: { limit: FOUND_MAX, ...(search === "" ? {} : { search }) } },
  });
  const items = triggers.data?.items ?? [];
  return (
    <Group gap="xs" align="center">
      <Text size="sm">Why not another trigger?</Text>
      <Select
        aria-label="A trigger to ask about this event"
        placeholder="Ask a trigger"
        searchable
        value={null}
        data={items.map(({ workflow_id: workflow, id, type, name }) => ({
          value: `${workflow}/triggers/${id}`,
          label: `${workflow} / ${name === "" ? id : name} (${triggerKindOf(type).label})`,
        }))}
        filter={({ options }) => options}
        onSearchChange={setSearch}
        nothingFoundMessage="No such trigger"
        onChange={(value) => value !== null && void go(`/workflows/${value}?cause=${eventId}`)}
        w={360}
        maw="100%"
      />
    </Group>
  );
}
