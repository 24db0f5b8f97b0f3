/* The buttons of a run: what its state and the viewer's role allow. */
import { Button, Group, Modal, Text, TextInput } from "@mantine/core";
import {
  IconBan,
  IconGitFork,
  IconPlayerPause,
  IconPlayerPlay,
  IconPlayerSkipForward,
  IconReload,
  IconRotateClockwise,
} from "@tabler/icons-react";
import { useState, type ReactNode } from "react";
import { useNavigate } from "react-router";
import { api } from "../../api/client";
import { fieldsOf, pairsOf } from "../../api/narrow";
import { useMay } from "../../shell/session";
import { say } from "../../ui/say";
import { deedsFor } from "./deeds";
import type { Run } from "./useRun";

interface ActionsProps {
  run: Run;
  onFork: () => void;
}

export function Actions({ run, onFork }: ActionsProps) {
  const may = useMay("operator");
  const [isCancelling, setCancelling] = useState(false);
  const path = { params: { path: { run_id: run.run_id } } };
  const pause = api.useMutation("post", "/api/runs/{run_id}/pause");
  const resume = api.useMutation("post", "/api/runs/{run_id}/resume");
  const step = api.useMutation("post", "/api/runs/{run_id}/step");
  const retry = api.useMutation("post", "/api/runs/{run_id}/retry");
  const again = useRunAgain(run);
  if (!may) return null;
  const deeds = new Set(deedsFor(run.status));
  return (
    <>
      {deeds.has("pause") ? (
        <Deed
          label="Pause"
          icon={<IconPlayerPause size={16} />}
          isBusy={pause.isPending}
          onClick={() => pause.mutate({ ...path, body: { reason: "" } })}
        />
      ) : null}
      {deeds.has("step") ? (
        <Deed
          label="Step"
          icon={<IconPlayerSkipForward size={16} />}
          isBusy={step.isPending}
          onClick={() => step.mutate({ ...path, body: { steps: 1 } })}
        />
      ) : null}
      {deeds.has("resume") ? (
        <Deed
          label="Resume"
          icon={<IconPlayerPlay size={16} />}
          isMain
          isBusy={resume.isPending}
          onClick={() => resume.mutate({ ...path, body: {} })}
        />
      ) : null}
      {deeds.has("retry") ? (
        <Deed
          label="Retry"
          icon={<IconReload size={16} />}
          isMain
          isBusy={retry.isPending}
          onClick={() =>
            retry.mutate(
              { ...path, body: { from: "failed", node_id: null, node_ids: [], reason: "" } },
              { onSuccess: () => say("It goes on from what failed; what completed keeps its output.") },
            )
          }
        />
      ) : null}
      {deeds.has("again") ? (
        <Deed
          label="Run again"
          icon={<IconRotateClockwise size={16} />}
          isBusy={again.isPending}
          onClick={again.start}
        />
      ) : null}
      {deeds.has("fork") ? <Deed label="Fork" icon={<IconGitFork size={16} />} onClick={onFork} /> : null}
      {deeds.has("cancel") ? (
        <Deed label="Cancel" icon={<IconBan size={16} />} isGrave onClick={() => setCancelling(true)} />
      ) : null}
      {isCancelling ? <CancelDialog runId={run.run_id} onClose={() => setCancelling(false)} /> : null}
    </>
  );
}

interface DeedProps {
  label: string;
  icon: ReactNode;
  onClick: () => void;
  isBusy?: boolean;
  isMain?: boolean;
  isGrave?: boolean;
}

function Deed({ label, icon, onClick, isBusy = false, isMain = false, isGrave = false }: DeedProps) {
  return (
    <Button
      size="compact-md"
      fz="sm"
      variant={isMain ? "filled" : "default"}
      leftSection={icon}
      loading={isBusy}
      onClick={onClick}
      {...(isGrave ? { style: { color: "var(--ff-failed)" } } : {})}
    >
      {label}
    </Button>
  );
}

function CancelDialog({ runId, onClose }: { runId: string; onClose: () => void }) {
  const [reason, setReason] = useState("");
  const cancel = api.useMutation("post", "/api/runs/{run_id}/cancel");
  const start = () =>
    cancel.mutate({ params: { path: { run_id: runId } }, body: { reason } }, { onSuccess: onClose });
  return (
    <Modal opened onClose={onClose} title="Cancel this run?">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          start();
        }}
      >
        <Text size="sm" mb="sm">
          Running jobs are stopped and waiting nodes cancelled; what exists for failure still runs. A
          cancelled run can be retried.
        </Text>
        <TextInput
          label="Reason (optional)"
          value={reason}
          onChange={(event) => setReason(event.currentTarget.value)}
          data-autofocus
        />
        <Group justify="flex-end" mt="md">
          <Button variant="default" onClick={onClose}>
            Let it run
          </Button>
          <Button type="submit" color="red" loading={cancel.isPending}>
            Cancel the run
          </Button>
        </Group>
      </form>
    </Modal>
  );
}

/** The same workflow, newest version, with the same input, variables and labels. */
function useRunAgain(run: Run) {
  const go = useNavigate();
  const execute = api.useMutation("post", "/api/workflows/{workflow_id}/execute");
  const start = () =>
    execute.mutate(
      {
        params: { path: { workflow_id: run.workflow_id } },
        body: {
          input_data: run.input_data,
          variables: fieldsOf(run.variables),
          version: null,
          labels: Object.fromEntries(pairsOf(run.labels)),
          priority: run.priority,
          from_node: null,
          breakpoints: [],
          options: { timeout_ms: null, override_running: false, skip_dependency_check: false },
        },
      },
      {
        onSuccess: ({ run_id }) => {
          say("It began with the same input, in the newest version of its workflow.");
          void go(`/runs/${run_id}`);
        },
      },
    );
  return { start, isPending: execute.isPending };
}
