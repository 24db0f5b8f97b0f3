/* The same done to many runs at once; what was refused is said, and why. */
import { Anchor, Button, CloseButton, Group, Modal, Text } from "@mantine/core";
import { useState } from "react";
import { Link } from "react-router";
import { api, type Schemas } from "../../api/client";
import { say } from "../../ui/say";
import { count } from "../../ui/times";
import { shortId } from "../run/Header";

type Action = Schemas["BulkBulk"]["action"];
const ACTIONS: [Action, string][] = [
  ["cancel", "Cancel"],
  ["pause", "Pause"],
  ["resume", "Resume"],
  ["retry", "Retry"],
];
const DONE: Record<Action, string> = {
  cancel: "cancelled",
  pause: "paused",
  resume: "resumed",
  retry: "retried",
};

interface BulkProps {
  runIds: string[];
  onDone: () => void;
}

export function Bulk({ runIds, onDone }: BulkProps) {
  const [asked, setAsked] = useState<Action | null>(null);
  const [told, setTold] = useState<Schemas["OperatedTogether"] | null>(null);
  const bulk = api.useMutation("post", "/api/runs/bulk");
  const act = (action: Action) =>
    bulk.mutate(
      { body: { filter: { ...NO_FILTER, run_ids: runIds }, action, reason: "" } },
      {
        onSuccess: (answer) => {
          setAsked(null);
          if (answer.refused.length === 0) say(`${runs(answer.accepted)} ${DONE[action]}.`);
          setTold(answer.refused.length === 0 ? null : answer);
          onDone();
        },
      },
    );
  return (
    <>
      {runIds.length === 0 ? null : (
        <Group
          className="ff-panel"
          gap="xs"
          p={6}
          px="sm"
          mb="sm"
          role="group"
          aria-label="Do to the chosen runs"
          data-testid="bulk"
        >
          <Text size="sm">{runs(runIds.length)} chosen</Text>
          {ACTIONS.map(([action, label]) => (
            <Button
              key={action}
              size="compact-sm"
              variant="default"
              loading={bulk.isPending}
              onClick={() => (action === "cancel" ? setAsked(action) : act(action))}
            >
              {label}
            </Button>
          ))}
          <Button size="compact-sm" variant="subtle" onClick={onDone}>
            Choose none
          </Button>
        </Group>
      )}
      {told === null ? null : <Refused told={told} onClose={() => setTold(null)} />}
      <Modal
        opened={asked === "cancel"}
        onClose={() => setAsked(null)}
        title={`Cancel ${runs(runIds.length)}?`}
      >
        <Text size="sm">
          Running jobs are stopped; what exists for failure still runs. They can be retried later.
        </Text>
        <Group justify="flex-end" mt="md">
          <Button variant="default" onClick={() => setAsked(null)}>
            Let them run
          </Button>
          <Button color="red" loading={bulk.isPending} onClick={() => act("cancel")}>
            Cancel {runs(runIds.length)}
          </Button>
        </Group>
      </Modal>
    </>
  );
}

const NO_FILTER = {
  workflow_id: null,
  status: null,
  trigger_type: null,
  label: null,
  since: null,
  until: null,
};

function runs(number: number): string {
  return `${count(number)} ${number === 1 ? "run" : "runs"}`;
}

function Refused({ told, onClose }: { told: Schemas["OperatedTogether"]; onClose: () => void }) {
  const action = told.action as Action;
  return (
    <div className="ff-panel ff-refused" role="status" data-testid="bulk-refused">
      <Group justify="space-between" wrap="nowrap">
        <Text fw={600} size="sm">
          {runs(told.accepted)} {DONE[action]}, {count(told.refused.length)} refused
        </Text>
        <CloseButton size="sm" aria-label="Close" onClick={onClose} />
      </Group>
      {told.refused.map((one) => (
        <Text size="sm" key={one.run_id}>
          <Anchor component={Link} to={`/runs/${one.run_id}`} size="sm" className="ff-mono">
            {shortId(one.run_id)}
          </Anchor>{" "}
          {one.detail}
        </Text>
      ))}
    </div>
  );
}
