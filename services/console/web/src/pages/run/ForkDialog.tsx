/* A new run that goes on from a moment of this one, with something changed. */
import { Button, Checkbox, Group, Modal, MultiSelect, Select, Stack, Text, TextInput } from "@mantine/core";
import { useState } from "react";
import { useNavigate } from "react-router";
import { api, type Schemas } from "../../api/client";
import { Code } from "../../editor/Code";
import { say } from "../../ui/say";
import { AS_IT_WAS, forkBody, type ForkDraft } from "./forking";
import type { Run } from "./useRun";

interface ForkDialogProps {
  run: Run;
  at: number | null;
  shape: Schemas["GraphView"] | undefined;
  onClose: () => void;
}

export function ForkDialog({ run, at, shape, onClose }: ForkDialogProps) {
  const go = useNavigate();
  const fork = api.useMutation("post", "/api/runs/{run_id}/fork");
  const [draft, setDraft] = useState<ForkDraft>({ ...AS_IT_WAS, at });
  const [faults, setFaults] = useState<Record<string, string>>({});
  const change = (part: Partial<ForkDraft>) => setDraft((before) => ({ ...before, ...part }));
  const nodeIds = shape?.nodes.map((node) => node.node_id) ?? [];
  const start = () => {
    const { body, faults: found } = forkBody(draft);
    setFaults(found ?? {});
    if (body === null) return;
    fork.mutate(
      { params: { path: { run_id: run.run_id } }, body },
      {
        onSuccess: ({ run_id }) => {
          say("The fork began; here it is beside its origin.");
          void go(`/runs/${run_id}/diff?with=${run.run_id}`);
        },
      },
    );
  };
  return (
    <Modal opened onClose={onClose} size="lg" title={at === null ? "Fork from now" : "Fork from this moment"}>
      <Stack gap="sm" data-testid="fork-dialog">
        <Text size="sm">
          What had completed {at === null ? "by now" : "by this moment"} is taken over with its output; what
          is changed, and everything below it, runs anew. This run stays as it is.
        </Text>
        <Input run={run} draft={draft} fault={faults["input"]} onChange={change} />
        <Outputs run={run} nodeIds={nodeIds} draft={draft} faults={faults} onChange={change} />
        <MultiSelect
          label="Run these anew, though nothing about them changed"
          data={nodeIds}
          value={draft.rerun}
          onChange={(rerun) => change({ rerun })}
          searchable
          limit={50}
          clearable
        />
        <TextInput
          label="Version of the workflow"
          description="A number, or latest. Empty: the one of this run."
          placeholder={String(run.workflow_version)}
          value={draft.version}
          error={faults["version"]}
          onChange={(event) => change({ version: event.currentTarget.value })}
        />
        <Checkbox
          label="Shadow run: touch nothing outside, take what nodes did from the history"
          checked={draft.isShadow}
          onChange={(event) => change({ isShadow: event.currentTarget.checked })}
        />
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            Close
          </Button>
          <Button onClick={start} loading={fork.isPending}>
            Start the fork
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}

interface PartProps {
  run: Run;
  draft: ForkDraft;
  onChange: (part: Partial<ForkDraft>) => void;
}

function Input({ run, draft, fault, onChange }: PartProps & { fault: string | undefined }) {
  const isChanged = draft.input !== "";
  return (
    <div>
      <Checkbox
        label="With another input (everything runs anew)"
        checked={isChanged}
        onChange={(event) =>
          onChange({ input: event.currentTarget.checked ? JSON.stringify(run.input_data, null, 2) : "" })
        }
      />
      {isChanged ? (
        <div style={{ marginTop: 6 }}>
          <Code
            value={draft.input}
            onChange={(input) => onChange({ input })}
            language="json"
            label="Input, as JSON"
            height="140px"
          />
        </div>
      ) : null}
      <Wrong text={fault} />
    </div>
  );
}

function Outputs({
  run,
  nodeIds,
  draft,
  faults,
  onChange,
}: PartProps & { nodeIds: string[]; faults: Record<string, string> }) {
  const outputOf = (nodeId: string) => run.node_runs?.find((one) => one.node_id === nodeId)?.output ?? null;
  const replace = (nodeId: string, json: string) =>
    onChange({
      outputs: draft.outputs.map((one) => (one.nodeId === nodeId ? { nodeId, json } : one)),
    });
  return (
    <div>
      <Select
        label="Give a node another output (it does not run; what is below it does)"
        placeholder="choose a node"
        data={nodeIds.filter((id) => draft.outputs.every(({ nodeId }) => nodeId !== id))}
        value={null}
        searchable
        limit={50}
        onChange={(nodeId) => {
          if (nodeId !== null)
            onChange({
              outputs: [...draft.outputs, { nodeId, json: JSON.stringify(outputOf(nodeId), null, 2) }],
            });
        }}
      />
      {draft.outputs.map(({ nodeId, json }) => (
        <div key={nodeId} style={{ marginTop: 8 }}>
          <Group justify="space-between">
            <Text size="sm" fw={500}>
              Output of {nodeId}
            </Text>
            <Button
              size="compact-xs"
              variant="subtle"
              onClick={() => onChange({ outputs: draft.outputs.filter((one) => one.nodeId !== nodeId) })}
            >
              As it was
            </Button>
          </Group>
          <Code
            value={json}
            onChange={(text) => replace(nodeId, text)}
            language="json"
            label={`Output of ${nodeId}, as JSON`}
            height="110px"
          />
          <Wrong text={faults[`output ${nodeId}`]} />
        </div>
      ))}
    </div>
  );
}

function Wrong({ text }: { text: string | undefined }) {
  if (text === undefined) return null;
  return (
    <Text size="xs" role="alert" style={{ color: "var(--ff-failed)" }}>
      {text}
    </Text>
  );
}
