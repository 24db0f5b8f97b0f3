/* What can be done with a workflow as a whole. */
import { ActionIcon, Button, Menu } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconArchive, IconDots, IconLayoutGrid, IconPencil, IconPlayerPlay } from "@tabler/icons-react";
import { Link, useNavigate } from "react-router";
import { api } from "../../api/client";
import { EnabledSwitch } from "../../definition/EnabledSwitch";
import { RunDialog } from "../../run-dialog/RunDialog";
import { useMay } from "../../shell/session";
import { Confirmed } from "../../ui/Confirmed";
import { say } from "../../ui/say";
import { SaveAsTemplate } from "../templates/SaveAsTemplate";
import type { TabProps } from "./Workflow";

export function Actions({ workflow }: TabProps) {
  const mayRun = useMay("operator");
  const mayEdit = useMay("editor");
  const [isRunOpen, run] = useDisclosure();
  const [isTemplateOpen, template] = useDisclosure();
  return (
    <>
      <EnabledSwitch workflowId={workflow.id} name={workflow.name} status={workflow.status} label="Enabled" />
      {mayEdit ? (
        <Button
          component={Link}
          to={`/workflows/${workflow.id}/edit`}
          variant="default"
          leftSection={<IconPencil size={16} aria-hidden />}
        >
          Edit
        </Button>
      ) : null}
      {mayRun ? (
        <Button
          leftSection={<IconPlayerPlay size={16} aria-hidden />}
          onClick={run.open}
          data-testid="run-workflow"
        >
          Run
        </Button>
      ) : null}
      {mayEdit ? <More workflow={workflow} onTemplate={template.open} /> : null}
      {isRunOpen ? <RunDialog opened onClose={run.close} workflowId={workflow.id} /> : null}
      {isTemplateOpen ? (
        <SaveAsTemplate
          start={workflow}
          of={{ workflow_id: workflow.id, version: workflow.version }}
          variables={workflow.variables.map(({ name }) => name)}
          onClose={template.close}
        />
      ) : null}
    </>
  );
}

function More({ workflow, onTemplate }: TabProps & { onTemplate: () => void }) {
  const go = useNavigate();
  const archive = api.useMutation("delete", "/api/workflows/{workflow_id}", {
    onSuccess: () => {
      say(`“${workflow.name}” is archived. It stays under “Archived” in the list of workflows.`);
      void go("/workflows");
    },
  });
  return (
    <Confirmed
      title={`Archive “${workflow.name}”?`}
      text="No trigger starts it any more, and lists leave it out. Its runs and versions stay, and it can be enabled again."
      button="Archive"
      onYes={() => archive.mutate({ params: { path: { workflow_id: workflow.id } } })}
    >
      {(ask) => (
        <Menu position="bottom-end">
          <Menu.Target>
            <ActionIcon variant="default" size={36} aria-label="More">
              <IconDots size={18} />
            </ActionIcon>
          </Menu.Target>
          <Menu.Dropdown>
            <Menu.Item leftSection={<IconLayoutGrid size={16} aria-hidden />} onClick={onTemplate}>
              Save as template
            </Menu.Item>
            {workflow.status === "archived" ? null : (
              <Menu.Item leftSection={<IconArchive size={16} aria-hidden />} onClick={ask}>
                Archive
              </Menu.Item>
            )}
          </Menu.Dropdown>
        </Menu>
      )}
    </Confirmed>
  );
}
