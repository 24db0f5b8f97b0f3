/* A definition as text, checked by the server before it is saved. */
import { Alert, Button, FileButton, Group, Modal, Stack, Text } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { IconFileUpload } from "@tabler/icons-react";
import { useState } from "react";
import { useNavigate } from "react-router";
import { http, Problem, type Schemas } from "../../api/client";
import type { Definition } from "../../definition/plain";
import { Code } from "../../editor/Code";
import { Findings } from "../../ui/Said";
import { say } from "../../ui/say";
import { imported } from "./imported";

interface Checked {
  definition: Definition;
  /** Of the workflow that has this id already. */
  version: number | null;
  report: Schemas["Report"];
}

export function ImportDialog({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  return (
    <Modal opened={opened} onClose={onClose} title="Import workflows" size="xl">
      <ImportForm onClose={onClose} />
    </Modal>
  );
}

async function check(definition: Definition): Promise<Checked> {
  const id = String(definition["id"]);
  const known = await http
    .GET("/api/workflows/{workflow_id}", { params: { path: { workflow_id: id } } })
    .then(({ data }) => data?.version ?? null)
    .catch((problem: unknown) => {
      if (problem instanceof Problem && problem.status === 404) return null;
      throw problem;
    });
  const { data } = await http.POST("/api/workflows/validate", { body: definition });
  if (data === undefined) throw new Error("the server gave no report");
  return { definition, version: known, report: data };
}

async function save({ definition, version }: Checked): Promise<void> {
  const body = definition as unknown as Schemas["Workflow"];
  const id = String(definition["id"]);
  if (version === null) await http.POST("/api/workflows", { body });
  else {
    const header = { "If-Match": `"${version}"` };
    await http.PUT("/api/workflows/{workflow_id}", { params: { path: { workflow_id: id }, header }, body });
  }
}

function ImportForm({ onClose }: { onClose: () => void }) {
  const client = useQueryClient();
  const go = useNavigate();
  const [text, setText] = useState("");
  const [checked, setChecked] = useState<Checked[] | null>(null);
  const [fault, setFault] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);

  const change = (next: string) => {
    setText(next);
    setChecked(null);
    setFault(null);
  };
  const during = async (deed: () => Promise<void>) => {
    setBusy(true);
    setFault(null);
    try {
      await deed();
    } catch (problem) {
      setFault(problem instanceof Error ? problem.message : String(problem));
    } finally {
      setBusy(false);
    }
  };
  const validate = () =>
    during(async () => {
      const found = imported(text);
      if ("fault" in found) setFault(found.fault);
      else setChecked(await Promise.all(found.definitions.map(check)));
    });
  const saveAll = (all: Checked[]) =>
    during(async () => {
      for (const one of all) await save(one);
      await client.invalidateQueries();
      const ids = all.map(({ definition }) => String(definition["id"]));
      say(`Saved: ${ids.join(", ")}.`);
      onClose();
      if (ids.length === 1) void go(`/workflows/${ids[0] ?? ""}`);
    });
  const isValid = checked?.every(({ report }) => report.is_valid) === true;

  return (
    <Stack gap="sm">
      <Group justify="space-between">
        <Text size="sm">Paste YAML or JSON; several documents are separated by a line with ---.</Text>
        <FileButton accept=".yaml,.yml,.json" onChange={(file) => void file?.text().then(change)}>
          {(props) => (
            <Button
              {...props}
              variant="default"
              size="xs"
              leftSection={<IconFileUpload size={15} aria-hidden />}
            >
              Choose a file
            </Button>
          )}
        </FileButton>
      </Group>
      <Code value={text} onChange={change} language="yaml" label="Definition" height="320px" />
      {fault === null ? null : (
        <Alert color="red" role="alert" style={{ whiteSpace: "pre-wrap" }}>
          {fault}
        </Alert>
      )}
      {checked?.map((one) => (
        <Verdict key={String(one.definition["id"])} of={one} />
      ))}
      <Group justify="flex-end">
        <Button variant="default" onClick={onClose}>
          Cancel
        </Button>
        {checked === null || !isValid ? (
          <Button onClick={() => void validate()} loading={isBusy}>
            Check
          </Button>
        ) : (
          <Button onClick={() => void saveAll(checked)} loading={isBusy} data-testid="save-import">
            {checked.some(({ version }) => version !== null) ? "Save as new version" : "Save"}
          </Button>
        )}
      </Group>
    </Stack>
  );
}

function Verdict({ of }: { of: Checked }) {
  const { report, version } = of;
  const id = String(of.definition["id"]);
  const becomes =
    version === null ? "is new" : `will be version ${version + 1} of the workflow that is there`;
  return (
    <Alert
      color={report.is_valid ? "teal" : "red"}
      title={report.is_valid ? `${id} is valid` : `${id} has faults`}
      role="status"
    >
      {report.is_valid ? <Text size="sm">It {becomes}.</Text> : null}
      <Findings errors={[...report.errors, ...report.warnings]} />
    </Alert>
  );
}
