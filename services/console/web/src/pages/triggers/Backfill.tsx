/* Runs for a schedule's past: which times would be made up for is shown before anything starts. */
import { Button, Checkbox, Grid, Group, Modal, ScrollArea, Stack, Text, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useNavigate } from "react-router";
import { api, http, type Schemas } from "../../api/client";
import { textOf, type Fields } from "../../api/narrow";
import { say } from "../../ui/say";
import { Failed, Loading } from "../../ui/Said";
import { count, typedTime } from "../../ui/times";
import { When } from "../../ui/When";

const DAY_MS = 86_400_000;
const states: Record<string, string> = { missing: "did not fire", fired: "fired", pending: "about to fire" };

interface BackfillProps {
  workflowId: string;
  triggerId: string;
  onClose: () => void;
}

export function Backfill({ workflowId, triggerId, onClose }: BackfillProps) {
  const go = useNavigate();
  const [since, setSince] = useState(() => typedTime(new Date(Date.now() - DAY_MS)));
  const [until, setUntil] = useState(() => typedTime(new Date()));
  const [isRepeated, setRepeated] = useState(false);
  const path = { workflow_id: workflowId, trigger_id: triggerId };
  const isSound = since !== "" && until !== "" && new Date(since) < new Date(until);
  const span = isSound
    ? { since: new Date(since).toISOString(), until: new Date(until).toISOString(), repeat: isRepeated }
    : null;
  const preview = useQuery({
    queryKey: ["backfill", workflowId, triggerId, span],
    queryFn: async ({ signal }) => {
      const body = { since: "", until: null, repeat: false, ...span, dry_run: true };
      const { data } = await http.POST("/api/workflows/{workflow_id}/triggers/{trigger_id}/backfill", {
        params: { path },
        body,
        signal,
      });
      if (data === undefined) throw new Error("the server gave no answer");
      return data;
    },
    enabled: span !== null,
    retry: false,
  });
  const fill = api.useMutation("post", "/api/workflows/{workflow_id}/triggers/{trigger_id}/backfill", {
    onSuccess: ({ label, count: runs }) => {
      say(`${count(runs)} runs start, in order.`, "Making up for the past");
      onClose();
      if (label !== undefined) void go(`/runs?label=${encodeURIComponent(label)}`);
    },
  });
  return (
    <Modal opened onClose={onClose} size="lg" title="Make up for the past">
      <Stack gap="sm">
        <Text size="sm" c="dimmed">
          One run for each time of the schedule, as it is now, that did not fire.
        </Text>
        <Grid>
          <Grid.Col span={{ base: 12, xs: 6 }}>
            <TextInput
              label="From"
              type="datetime-local"
              value={since}
              onChange={({ currentTarget }) => setSince(currentTarget.value)}
            />
          </Grid.Col>
          <Grid.Col span={{ base: 12, xs: 6 }}>
            <TextInput
              label="Until"
              type="datetime-local"
              value={until}
              error={isSound ? null : "It has to be after the beginning"}
              onChange={({ currentTarget }) => setUntil(currentTarget.value)}
            />
          </Grid.Col>
        </Grid>
        <Checkbox
          label="Fire those again that did fire"
          checked={isRepeated}
          onChange={({ currentTarget }) => setRepeated(currentTarget.checked)}
        />
        {span === null ? null : preview.data === undefined ? (
          preview.isPending ? (
            <Loading what="Looking which times there were" />
          ) : (
            <Failed error={preview.error} />
          )
        ) : (
          <Times of={preview.data} />
        )}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button
            loading={fill.isPending}
            disabled={span === null || (preview.data?.count ?? 0) === 0}
            onClick={() =>
              span !== null && fill.mutate({ params: { path }, body: { ...span, dry_run: false } })
            }
          >
            Start {count(preview.data?.count ?? 0)} runs
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}

function Times({ of }: { of: Schemas["Backfilled"] }) {
  const items = of.items ?? [];
  if (items.length === 0) return <Text size="sm">The schedule has no times in this span.</Text>;
  return (
    <div role="status">
      <Text size="sm" mb={4}>
        {count(of.count)} to start, {count(of.fired ?? 0)} fired already.
      </Text>
      <ScrollArea.Autosize mah={240} type="auto">
        <ul style={{ margin: 0, paddingLeft: 0, listStyle: "none" }} aria-label="Times">
          {items.map((item: Fields) => {
            const state = textOf(item["state"]) ?? "";
            return (
              <li key={textOf(item["scheduled_at"])} style={{ display: "flex", gap: 12 }}>
                <When at={textOf(item["scheduled_at"])} />
                <Text size="sm" c="dimmed" span>
                  {states[state] ?? state}
                </Text>
                {item["fires"] === true ? (
                  <Text size="sm" fw={550} span>
                    → a run
                  </Text>
                ) : null}
              </li>
            );
          })}
        </ul>
        {of.has_more === true ? <Text size="sm">… and more.</Text> : null}
      </ScrollArea.Autosize>
    </div>
  );
}
