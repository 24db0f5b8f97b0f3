import { Anchor, Stack, Text, TextInput, Title } from "@mantine/core";
import { Link } from "react-router";
import { faultOfId, idOf } from "../../../definition/ids";
import { saidAt } from "../check/findings";
import { WORKFLOW_FIELDS, WORKFLOW_GROUPS } from "../fields/others";
import { textOf, type Definition } from "../model/definition";
import { useDesign } from "../useDesign";
import { FieldGroup, FieldGroups, type Owner } from "./FieldGroup";
import { IdField } from "./IdField";
import { TriggerList } from "./TriggerList";

/** What the workflow as a whole is told: shown where nothing is selected. */
export function WorkflowPanel() {
  const { definition, version, edit, found } = useDesign();
  const id = textOf(definition["id"]);
  const owner: Owner = {
    kind: "workflow",
    id: "",
    of: definition,
    node: null,
    change: (change, field) => edit((before) => change(before) as Definition, `workflow ${field}`),
  };
  return (
    <Stack gap="sm" data-testid="workflow-panel">
      <Title order={2} fz="md">
        Workflow
      </Title>
      <TextInput
        size="xs"
        label="Name"
        value={textOf(definition["name"])}
        error={saidAt(found, "workflow", "", "name")}
        onChange={({ currentTarget: { value } }) =>
          edit((before) => named(before, value, version === null), "workflow name")
        }
        required
        data-testid="field-workflow-name"
      />
      <IdField
        key={id}
        id={id}
        help={version === null ? "Fixed once it is saved" : "Fixed since its first save"}
        fault={saidAt(found, "workflow", "", "id")}
        faultOf={faultOfId}
        onId={(wanted) => edit((before) => ({ ...before, id: wanted }))}
        isFixed={version !== null}
      />
      <FieldGroup fields={WORKFLOW_FIELDS} owner={owner} />
      <TriggerList />
      {version === null ? null : (
        <Text size="xs">
          <Anchor component={Link} to={`/workflows/${id}/triggers`} size="xs">
            Triggers of the saved version
          </Anchor>
          : what they decided, and when they fire next.
        </Text>
      )}
      <FieldGroups groups={WORKFLOW_GROUPS} owner={owner} />
    </Stack>
  );
}

/** Until somebody chose an id, it follows the name. */
function named(definition: Definition, name: string, isNew: boolean): Definition {
  const follows = isNew && textOf(definition["id"]) === idOf(textOf(definition["name"]));
  return { ...definition, name, ...(follows && idOf(name) !== "" ? { id: idOf(name) } : {}) };
}
