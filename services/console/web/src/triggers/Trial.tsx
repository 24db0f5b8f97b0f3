/* What the trigger, as it stands in the form, would answer to one event. Nothing is stored. */
import { Alert, Box, Group, Select, Stack, Text } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { http, Problem } from "../api/client";
import { fieldsOf } from "../api/narrow";
import { Code } from "../editor/Code";
import { Json } from "../ui/Json";
import { readJson } from "../ui/readJson";
import { Status } from "../ui/Status";
import { local } from "../ui/times";
import { decisionInWords } from "./decisions";
import { asSent, type Sample } from "./samples";
import { asBody, written, type Trigger } from "./trigger";
import { Words } from "./Words";

const PAUSE_MS = 400;

interface TrialProps {
  trigger: Trigger;
  workflowId: string | null;
  samples: Sample[];
}

export function Trial({ trigger, workflowId, samples }: TrialProps) {
  const [chosen, setChosen] = useState<string | null>(null);
  const [typed, setTyped] = useState<string | null>(null);
  const sample = samples.find(({ event_id: id }) => id === chosen) ?? samples[0];
  const text = typed ?? JSON.stringify(asSent(sample, trigger), null, 2);
  const [asked] = useDebouncedValue(JSON.stringify([written(trigger), text]), PAUSE_MS);
  const answer = useQuery({
    queryKey: ["trial", workflowId, asked],
    queryFn: ({ signal }) => tried(asked, workflowId, signal),
    retry: false,
    placeholderData: (before) => before,
  });
  return (
    <Stack gap="xs">
      {samples.length === 0 ? (
        <Text size="sm" c="dimmed">
          No event that concerns it came in lately. Write one:
        </Text>
      ) : (
        <Select
          label="With an event that came in"
          data={samples.map(({ event_id: value, type, received_at: at, data }) => ({
            value,
            label: `${type} · ${local(at)} · ${JSON.stringify(data).slice(0, 60)}`,
          }))}
          value={sample?.event_id ?? null}
          allowDeselect={false}
          onChange={(id) => {
            setChosen(id);
            setTyped(null);
          }}
        />
      )}
      <Box h={150}>
        <Code value={text} onChange={setTyped} language="json" label="The event to try it with" />
      </Box>
      <div role="status" data-testid="trial-answer">
        {answer.error instanceof Problem ? (
          <Alert color="red" variant="light" p="xs">
            {answer.error.message}
          </Alert>
        ) : answer.error !== null ? (
          <Text size="sm" c="dimmed">
            {answer.error.message}
          </Text>
        ) : answer.data === undefined ? null : (
          <Stack gap={4}>
            <Group gap="xs">
              <Status status={answer.data.decision} />
              <Text size="sm" component="div">
                <Words
                  of={decisionInWords({
                    decision: answer.data.decision,
                    reason: answer.data.reason,
                    detail: typeof answer.data.detail === "string" ? answer.data.detail : null,
                  })}
                />
              </Text>
            </Group>
            {answer.data.decision !== "fired" ? null : (
              <details>
                <summary>Input of the run that would start</summary>
                <Json value={answer.data.input} label="Input of the run" />
              </details>
            )}
          </Stack>
        )}
      </div>
    </Stack>
  );
}

async function tried(asked: string, workflowId: string | null, signal: AbortSignal) {
  const [trigger, text] = JSON.parse(asked) as [Record<string, unknown>, string];
  const event = readJson(text);
  if (!event.isSound) throw new Error(event.fault);
  const { data } = await http.POST("/api/triggers/test", {
    body: {
      // it is tried as if it were on
      trigger: asBody({ ...trigger, enabled: true, id: trigger["id"] === "" ? "new" : trigger["id"] }),
      event: asBody(fieldsOf(event.value)),
      workflow_id: workflowId,
    },
    signal,
  });
  if (data === undefined) throw new Error("the server gave no answer");
  return data;
}
