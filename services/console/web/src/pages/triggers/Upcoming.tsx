import { Box, Button, Group, Text, Title } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { api } from "../../api/client";
import { useMay } from "../../shell/session";
import type { ScheduleTrigger } from "../../triggers/trigger";
import { Shown } from "../../ui/Said";
import { When } from "../../ui/When";
import { Backfill } from "./Backfill";

const SHOWN_COUNT = 6;

/** When a schedule fires next. */
export function Upcoming({ workflowId, trigger }: { workflowId: string; trigger: ScheduleTrigger }) {
  const mayRun = useMay("operator");
  const [isOpen, { open, close }] = useDisclosure();
  const upcoming = api.useQuery("get", "/api/workflows/{workflow_id}/triggers/{trigger_id}/upcoming", {
    params: { path: { workflow_id: workflowId, trigger_id: trigger.id }, query: { count: SHOWN_COUNT } },
  });
  return (
    <Box className="ff-panel" p="sm" h="100%">
      <Group justify="space-between" mb="xs">
        <Title order={2}>Next times</Title>
        {mayRun && trigger.enabled ? (
          <Button variant="default" size="compact-sm" onClick={open}>
            Make up for the past…
          </Button>
        ) : null}
      </Group>
      <Shown of={upcoming}>
        {({ items }) =>
          items.length === 0 ? (
            <Text size="sm" c="dimmed">
              None: it is switched off, its workflow is not active, or its last time has passed.
            </Text>
          ) : (
            <ol style={{ margin: 0, paddingLeft: 20 }} aria-label="Next times">
              {items.map(({ scheduled_at: at, due_at: due }) => (
                <li key={at}>
                  <When at={at} />{" "}
                  <Text size="xs" c="dimmed" span>
                    <When at={due} relative />
                    {due === at ? "" : ", with its jitter"}
                  </Text>
                </li>
              ))}
            </ol>
          )
        }
      </Shown>
      {isOpen ? <Backfill workflowId={workflowId} triggerId={trigger.id} onClose={close} /> : null}
    </Box>
  );
}
