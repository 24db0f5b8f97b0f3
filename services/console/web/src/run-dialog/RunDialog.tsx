/* Start a workflow: its input as a form where the schema is simple, else as JSON; variables and labels where wanted. */
import { Accordion, Alert, Button, Group, Modal, MultiSelect, Stack, Text, TextInput } from "@mantine/core";
import { IconPlayerPlay } from "@tabler/icons-react";
import { useState } from "react";
import { useNavigate } from "react-router";
import { api, Problem, type Schemas } from "../api/client";
import { Code } from "../editor/Code";
import { Findings, Shown } from "../ui/Said";
import { say } from "../ui/say";
import { shortId } from "../ui/shortId";
import { parsed } from "./schemaForm";
import { labelsOf } from "./labels";
import { nodeChoices } from "./nodeChoices";
import { useRunInput } from "./useRunInput";

interface RunDialogProps {
  opened: boolean;
  onClose: () => void;
  workflowId: string;
  /** Without it the run's page is opened. */
  onStarted?: (runId: string) => void;
}

export function RunDialog({ opened, onClose, workflowId, onStarted }: RunDialogProps) {
  const workflow = api.useQuery(
    "get",
    "/api/workflows/{workflow_id}",
    { params: { path: { workflow_id: workflowId } } },
    { enabled: opened },
  );
  return (
    <Modal opened={opened} onClose={onClose} title={`Run ${workflow.data?.name ?? workflowId}`} size="lg">
      <Shown of={workflow}>
        {(data) => (
          <RunForm workflow={data} onClose={onClose} {...(onStarted === undefined ? {} : { onStarted })} />
        )}
      </Shown>
    </Modal>
  );
}

function RunForm({
  workflow,
  onClose,
  onStarted,
}: {
  workflow: Schemas["WorkflowView"];
  onClose: () => void;
  onStarted?: (runId: string) => void;
}) {
  const go = useNavigate();
  const input = useRunInput(workflow.input_schema);
  const [variables, setVariables] = useState("");
  const [labels, setLabels] = useState("");
  const [breakpoints, setBreakpoints] = useState<string[]>([]);
  const [fault, setFault] = useState<string | null>(null);
  const execute = api.useMutation("post", "/api/workflows/{workflow_id}/execute", {
    meta: { says: false },
    onSuccess: ({ run_id }) => {
      onClose();
      say(`Run ${shortId(run_id)} has been started.`);
      if (onStarted === undefined) void go(`/runs/${run_id}`);
      else onStarted(run_id);
    },
  });

  const start = () => {
    const given = input.read();
    const set = parsed(variables);
    if ("fault" in given) return setFault(given.fault);
    if ("fault" in set) return setFault(`Variables: ${set.fault}`);
    setFault(null);
    return execute.mutate({
      params: { path: { workflow_id: workflow.id } },
      body: {
        input_data: given.value,
        variables: set.value as Record<string, unknown>,
        labels: labelsOf(labels),
        breakpoints,
      },
    });
  };
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        start();
      }}
    >
      <Stack gap="sm">
        {workflow.status === "active" ? null : (
          <Text size="sm" c="dimmed">
            This workflow is {workflow.status === "draft" ? "not enabled" : "archived"}: triggers do not start
            it, by hand it runs.
          </Text>
        )}
        {input.editor}
        <Accordion variant="contained" chevronPosition="left">
          <Accordion.Item value="more">
            <Accordion.Control>Variables, labels and breakpoints</Accordion.Control>
            <Accordion.Panel>
              <Stack gap="xs">
                <Text size="sm">
                  {workflow.variables.length === 0
                    ? "This workflow has no variables."
                    : `Variables that are other than ${workflow.variables
                        .map(({ name, default_value }) => `${name} = ${JSON.stringify(default_value)}`)
                        .join(", ")}:`}
                </Text>
                {workflow.variables.length === 0 ? null : (
                  <Code
                    value={variables}
                    onChange={setVariables}
                    language="json"
                    label="Variables"
                    height="90px"
                  />
                )}
                <TextInput
                  label="Labels"
                  description="By which runs are found: team=data, ticket=41"
                  value={labels}
                  onChange={(event) => setLabels(event.currentTarget.value)}
                />
                <MultiSelect
                  label="Halt before (breakpoints)"
                  description="The run is paused before each of these nodes; on its page it goes on step by step"
                  data={nodeChoices(workflow.nodes)}
                  value={breakpoints}
                  onChange={setBreakpoints}
                  data-testid="breakpoints"
                  searchable
                  clearable
                />
              </Stack>
            </Accordion.Panel>
          </Accordion.Item>
        </Accordion>
        {fault === null ? null : (
          <Alert color="red" role="alert">
            {fault}
          </Alert>
        )}
        {execute.error === null ? null : <Refused error={execute.error} />}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button
            type="submit"
            loading={execute.isPending}
            leftSection={<IconPlayerPlay size={16} aria-hidden />}
            data-testid="start-run"
            data-autofocus
          >
            Run
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

function Refused({ error }: { error: unknown }) {
  const problem = error instanceof Problem ? error : null;
  return (
    <Alert color="red" role="alert" title={problem?.title ?? "That did not work"}>
      <Text size="sm">{problem?.message ?? String(error)}</Text>
      {problem === null ? null : <Findings errors={problem.errors} />}
    </Alert>
  );
}
