import { Box, Button, Group, Modal, Text } from "@mantine/core";
import { useState } from "react";
import { useNavigate } from "react-router";
import { api } from "../../api/client";
import { Code } from "../../editor/Code";
import { readJson } from "../../ui/readJson";

interface FireByHandProps {
  workflowId: string;
  triggerId: string;
  onClose: () => void;
}

/** A run under this trigger, whatever its filter says. */
export function FireByHand({ workflowId, triggerId, onClose }: FireByHandProps) {
  const go = useNavigate();
  const [text, setText] = useState("{}");
  const read = readJson(text);
  const fire = api.useMutation("post", "/api/workflows/{workflow_id}/triggers/{trigger_id}/fire", {
    onSuccess: ({ run_id: runId }) => void go(`/runs/${runId}`),
  });
  return (
    <Modal opened onClose={onClose} size="lg" title="Fire by hand">
      <Text size="sm" mb="xs">
        Starts a run under this trigger at once, whatever its type and filter. The input of the run:
      </Text>
      <Box h={180}>
        <Code value={text} onChange={setText} language="json" label="Input of the run" />
      </Box>
      {read.isSound ? null : (
        <Text size="sm" mt={4} role="alert" style={{ color: "var(--ff-failed)" }}>
          {read.fault}
        </Text>
      )}
      <Group justify="flex-end" mt="md">
        <Button variant="default" onClick={onClose}>
          Cancel
        </Button>
        <Button
          disabled={!read.isSound}
          loading={fire.isPending}
          onClick={() =>
            read.isSound &&
            fire.mutate({
              params: { path: { workflow_id: workflowId, trigger_id: triggerId } },
              body: { input_data: read.value, variables: {}, labels: {} },
            })
          }
        >
          Start a run
        </Button>
      </Group>
    </Modal>
  );
}
