/* A trigger is changed on trial, and judged over the recorded history beside what did fire. */
import { Box, Button, Group, Progress, Stack, Text, Title } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useState } from "react";
import { useMay } from "../../shell/session";
import { patchOf, readTrigger, written, type Trigger } from "../../triggers/trigger";
import { asSent, useSamples } from "../../triggers/samples";
import { FilterField } from "../../triggers/EventFields";
import { TriggerForm } from "../../triggers/TriggerForm";
import { useSaving } from "../../triggers/TriggerDialog";
import { inWords } from "../../triggers/words";
import { Words } from "../../triggers/Words";
import { Failed, Findings } from "../../ui/Said";
import { say } from "../../ui/say";
import { Since } from "../../ui/Since";
import { sinceOf } from "../../ui/spans";
import { useFilters } from "../../ui/useFilters";
import { Compared } from "./Compared";
import { useRehearsal } from "./useRehearsal";

interface WhatIfProps {
  workflowId: string;
  definition: unknown;
}

export function WhatIf({ workflowId, definition }: WhatIfProps) {
  const [filter, setFilter] = useFilters();
  const mayEdit = useMay("editor");
  const now = readTrigger(definition);
  const [trigger, setTrigger] = useState<Trigger>(now);
  const [isWhole, whole] = useDisclosure();
  const rehearsal = useRehearsal();
  const saving = useSaving(workflowId);
  const since = filter("since");
  const isChanged = patchOf(written(now), written(trigger)) !== null;
  const ask = (cursor: string | null) =>
    rehearsal.ask(
      { trigger: { ...written(trigger), enabled: true }, workflowId, since: sinceOf(since) ?? null, cursor },
      cursor === null ? null : rehearsal.answer,
    );
  const use = async () => {
    if (await saving.save(trigger, definition)) say("The change is in force from now on.", "Saved");
  };
  return (
    <Stack gap="md">
      <Box className="ff-panel" p="md">
        <form
          onSubmit={(event) => {
            event.preventDefault();
            void ask(null);
          }}
        >
          <Stack gap="sm">
            <Title order={2}>What if it were set otherwise?</Title>
            {isWhole || trigger.type === "schedule" || trigger.type === "dependency" ? (
              <TriggerForm
                value={trigger}
                onChange={setTrigger}
                isNew={false}
                takenIds={[]}
                workflowId={workflowId}
              />
            ) : (
              <>
                <FilterTrial trigger={trigger} onChange={setTrigger} />
                <Button
                  variant="subtle"
                  size="compact-sm"
                  onClick={whole.open}
                  style={{ alignSelf: "flex-start" }}
                >
                  Change something else of it
                </Button>
              </>
            )}
            <Group gap="sm" align="flex-end">
              <Since value={since} onChange={(value) => setFilter({ since: value })} />
              <Button type="submit" loading={rehearsal.progress !== null} data-testid="what-if-ask">
                See what would have fired
              </Button>
              {isChanged && mayEdit ? (
                <Button
                  variant="default"
                  onClick={() => void use()}
                  loading={saving.isBusy}
                  data-testid="what-if-use"
                >
                  Use this
                </Button>
              ) : null}
              {isChanged ? (
                <Button variant="subtle" onClick={() => setTrigger(now)}>
                  Back to how it is
                </Button>
              ) : null}
            </Group>
            {saving.errors.length === 0 ? null : (
              <Box role="alert" style={{ color: "var(--ff-failed)" }}>
                <Findings errors={saving.errors} />
              </Box>
            )}
          </Stack>
        </form>
      </Box>
      {rehearsal.progress === null ? null : (
        <div role="status">
          <Text size="sm">Reading the history…</Text>
          <Progress value={100 * rehearsal.progress} aria-label="How much of the history is read" />
        </div>
      )}
      {rehearsal.error === null ? null : <Failed error={rehearsal.error} />}
      {rehearsal.answer === null ? null : (
        <Compared
          of={rehearsal.answer}
          onMore={(cursor) => void ask(cursor)}
          isBusy={rehearsal.progress !== null}
        />
      )}
      {rehearsal.answer !== null || rehearsal.progress !== null ? null : (
        <Text size="sm" c="dimmed">
          Nothing is stored or started by looking: the recorded events are judged again, limits, quiet and
          joins as they would have been.
        </Text>
      )}
    </Stack>
  );
}

function FilterTrial({ trigger, onChange }: { trigger: Trigger; onChange: (trigger: Trigger) => void }) {
  const [newest] = useSamples(trigger);
  return (
    <div>
      <FilterField value={trigger} onChange={onChange} sample={asSent(newest, trigger)} />
      <Text size="xs" c="dimmed" mt={6} component="div">
        It <Words of={inWords(trigger)} />.
      </Text>
    </div>
  );
}
