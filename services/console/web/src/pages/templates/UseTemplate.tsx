/* From a template to a workflow that runs: a name, the parameters, and off it goes. */
import { Alert, Button, Group, Modal, NumberInput, Stack, Switch, Text, TextInput } from "@mantine/core";
import { IconPlayerPlay } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link, useNavigate } from "react-router";
import { api, http, Problem, type Schemas } from "../../api/client";
import { faultOfId, freeId, idOf } from "../../definition/ids";
import { drawnOf } from "../../graph/ofDefinition";
import { Sketch } from "../../graph/Sketch";
import { useMay } from "../../shell/session";
import { Shown } from "../../ui/Said";
import { say, sayProblem } from "../../ui/say";

interface Parameter {
  name: string;
  type: string;
  description: string;
  value: unknown;
}

export function UseTemplate({ templateId, onClose }: { templateId: string | null; onClose: () => void }) {
  const template = api.useQuery(
    "get",
    "/api/templates/{template_id}",
    { params: { path: { template_id: templateId ?? "" } } },
    { enabled: templateId !== null },
  );
  const alike = api.useQuery(
    "get",
    "/api/workflow-activity",
    { params: { query: { search: templateId ?? "", limit: 1000 } } },
    { enabled: templateId !== null, staleTime: 0 },
  );
  const isReady = template.data !== undefined && alike.data !== undefined;
  return (
    <Modal opened={templateId !== null} onClose={onClose} title={template.data?.name ?? "Template"} size="lg">
      <Shown
        of={{
          ...template,
          data: isReady ? template.data : undefined,
          isPending: !isReady && !template.error,
        }}
      >
        {(data) => (
          <Form
            key={data.id}
            template={data}
            taken={(alike.data?.items ?? []).map((one) => one.workflow_id)}
          />
        )}
      </Shown>
    </Modal>
  );
}

function parametersOf(template: Schemas["TemplateView"]): Parameter[] {
  return template.parameters.map((one) => ({
    name: String(one["name"]),
    type: typeof one["type"] === "string" ? one["type"] : "string",
    description: typeof one["description"] === "string" ? one["description"] : "",
    value: one["default_value"] ?? null,
  }));
}

/** The id of its first run. It is made already: what fails now is said, and not a reason to make it again. */
async function started(workflowId: string): Promise<string | null> {
  try {
    const { data } = await http.POST("/api/workflows/{workflow_id}/execute", {
      params: { path: { workflow_id: workflowId } },
      body: {},
    });
    return data?.run_id ?? null;
  } catch (problem) {
    sayProblem(problem);
    return null;
  }
}

function Form({ template, taken }: { template: Schemas["TemplateView"]; taken: string[] }) {
  const go = useNavigate();
  const client = useQueryClient();
  const mayEdit = useMay("editor");
  const [name, setName] = useState(template.name);
  const [id, setId] = useState(() => freeId(template.id, taken));
  const [isOwnId, setOwnId] = useState(false);
  const [parameters, setParameters] = useState(() => parametersOf(template));
  const [failure, setFailure] = useState<Problem | null>(null);
  const [isBusy, setBusy] = useState(false);
  /** Of parameters whose text means nothing: nothing is made with what stood there before. */
  const [unread, setUnread] = useState<readonly string[]>([]);

  const make = async (andRun: boolean) => {
    setBusy(true);
    setFailure(null);
    try {
      await http.POST("/api/templates/{template_id}/instantiate", {
        params: { path: { template_id: template.id } },
        body: {
          id,
          name,
          variables: Object.fromEntries(parameters.map((one) => [one.name, one.value])),
        },
      });
      void client.invalidateQueries();
      if (!andRun) {
        say(`The workflow “${name}” has been made.`);
        void go(`/workflows/${id}`);
        return;
      }
      const runId = await started(id);
      void go(runId === null ? `/workflows/${id}` : `/runs/${runId}`);
    } catch (problem) {
      if (problem instanceof Problem) setFailure(problem);
      else throw problem;
    } finally {
      setBusy(false);
    }
  };

  const fault = faultOfId(id);
  const isPossible = mayEdit && fault === null && unread.length === 0;
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (isPossible) void make(true);
      }}
    >
      <Stack gap="sm">
        <Text size="sm">{template.description}</Text>
        <Sketch
          drawn={drawnOf(template.definition)}
          label={`What ${template.name} looks like`}
          height={140}
        />
        <Group grow align="flex-start">
          <TextInput
            label="Name"
            value={name}
            required
            onChange={(event) => {
              setName(event.currentTarget.value);
              if (!isOwnId) setId(freeId(idOf(event.currentTarget.value), taken));
            }}
          />
          <TextInput
            label="Id"
            value={id}
            required
            error={fault}
            onChange={(event) => {
              setOwnId(true);
              setId(event.currentTarget.value);
            }}
          />
        </Group>
        {parameters.map((one, at) => (
          <ParameterField
            key={one.name}
            of={one}
            onChange={(value) => setParameters(parameters.with(at, { ...one, value }))}
            onRead={(isRead) =>
              setUnread((names) => [
                ...names.filter((name) => name !== one.name),
                ...(isRead ? [] : [one.name]),
              ])
            }
          />
        ))}
        {failure === null ? null : (
          <Alert color="red" role="alert" title={failure.title}>
            {failure.message}
          </Alert>
        )}
        {mayEdit ? null : (
          <Text size="sm" c="dimmed">
            Making a workflow takes the role of an editor: ask an administrator for it.
          </Text>
        )}
        <Group justify="flex-end">
          <Button component={Link} to={`/workflows/new?template=${template.id}`} variant="subtle">
            Open in the designer
          </Button>
          <Button
            variant="default"
            disabled={!isPossible || isBusy}
            onClick={() => void make(false)}
            data-testid="create-workflow"
          >
            Create only
          </Button>
          <Button
            type="submit"
            disabled={!isPossible}
            loading={isBusy}
            leftSection={<IconPlayerPlay size={16} aria-hidden />}
            data-testid="create-and-run"
            data-autofocus
          >
            Create and run
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

/** Lists and objects are written as JSON; what is no JSON yet stays as it is typed. */
function ParameterField({
  of,
  onChange,
  onRead,
}: {
  of: Parameter;
  onChange: (value: unknown) => void;
  onRead: (isRead: boolean) => void;
}) {
  const [text, setText] = useState(() => JSON.stringify(of.value));
  const [fault, setFault] = useState<string | null>(null);
  const told = { label: of.name, description: of.description === "" ? undefined : of.description };
  if (of.type === "boolean")
    return (
      <Switch
        {...told}
        checked={of.value === true}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
    );
  if (of.type === "number")
    return (
      <NumberInput
        {...told}
        value={typeof of.value === "number" ? of.value : ""}
        onChange={(value) => onChange(typeof value === "number" ? value : null)}
      />
    );
  if (of.type === "string")
    return (
      <TextInput
        {...told}
        value={typeof of.value === "string" ? of.value : ""}
        onChange={(event) => onChange(event.currentTarget.value)}
      />
    );
  return (
    <TextInput
      {...told}
      value={text}
      error={fault}
      onChange={(event) => {
        setText(event.currentTarget.value);
        try {
          onChange(JSON.parse(event.currentTarget.value));
          setFault(null);
          onRead(true);
        } catch {
          onRead(false);
          setFault("This is no JSON yet.");
        }
      }}
    />
  );
}
