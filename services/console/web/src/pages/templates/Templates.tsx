/* Ready-made workflows and those that people kept as such: choose one, name it, run it. */
import { ActionIcon, Button, SimpleGrid, Stack, Text, Title, Tooltip } from "@mantine/core";
import { IconPencil, IconTrash } from "@tabler/icons-react";
import { Link } from "react-router";
import { api, type Schemas } from "../../api/client";
import { useMay } from "../../shell/session";
import { Confirmed } from "../../ui/Confirmed";
import { FilterText } from "../../ui/FilterText";
import { Page } from "../../ui/Page";
import { Empty, Shown } from "../../ui/Said";
import { useFilters } from "../../ui/useFilters";
import { TemplateCard } from "./TemplateCard";
import { UseTemplate } from "./UseTemplate";
import { useTemplates } from "./useTemplates";

export default function Templates() {
  const [filter, setFilter] = useFilters();
  const search = filter("search");
  const templates = useTemplates();
  return (
    <Page
      title="Templates"
      actions={
        <Button component={Link} to="/workflows/new" variant="default">
          Draw from nothing
        </Button>
      }
    >
      <Stack gap="md">
        <FilterText
          label="Search templates"
          value={search}
          onChange={(text) => setFilter({ search: text })}
          isSearch
          width={280}
        />
        <Shown of={templates}>
          {({ items }) => (
            <Lists
              items={items.filter(isFound(search))}
              search={search}
              onUse={(id) => setFilter({ use: id })}
            />
          )}
        </Shown>
      </Stack>
      <UseTemplate templateId={filter("use") || null} onClose={() => setFilter({ use: null })} />
    </Page>
  );
}

function isFound(search: string): (of: Schemas["TemplateSummary"]) => boolean {
  const wanted = search.trim().toLowerCase();
  return ({ id, name, description, category }) =>
    `${id} ${name} ${description} ${category}`.toLowerCase().includes(wanted);
}

function Lists({
  items,
  search,
  onUse,
}: {
  items: Schemas["TemplateSummary"][];
  search: string;
  onUse: (id: string) => void;
}) {
  if (items.length === 0) {
    return <Empty title={`No template has “${search}” in its name or description.`}>Try another word.</Empty>;
  }
  const own = items.filter(({ source }) => source === "own");
  const given = items.filter(({ source }) => source === "builtin");
  return (
    <>
      <Title order={2}>Your own</Title>
      {own.length === 0 ? (
        <Text size="sm" c="dimmed" maw={720}>
          {search === ""
            ? "None yet. Open a workflow and choose “Save as template”: others can then start from it, with their own values for its variables."
            : `None has “${search}” in its name or description.`}
        </Text>
      ) : (
        <Cards items={own} onUse={onUse} />
      )}
      {given.length === 0 ? null : (
        <>
          <Title order={2}>Ready-made</Title>
          <Cards items={given} onUse={onUse} />
        </>
      )}
    </>
  );
}

function Cards({ items, onUse }: { items: Schemas["TemplateSummary"][]; onUse: (id: string) => void }) {
  return (
    <SimpleGrid component="ul" cols={{ base: 1, sm: 2, xl: 3 }} m={0} p={0} style={{ listStyle: "none" }}>
      {items.map((one) => (
        <TemplateCard key={one.id} of={one} onUse={() => onUse(one.id)}>
          {one.source === "own" ? <OwnActions of={one} /> : null}
        </TemplateCard>
      ))}
    </SimpleGrid>
  );
}

function OwnActions({ of }: { of: Schemas["TemplateSummary"] }) {
  const mayEdit = useMay("editor");
  const remove = api.useMutation("delete", "/api/templates/{template_id}");
  if (!mayEdit) return null;
  return (
    <span style={{ display: "inline-flex", gap: 4 }}>
      {of.workflow_id === null || of.workflow_id === undefined ? null : (
        <Tooltip label="Open the workflow that it was made of">
          <ActionIcon
            component={Link}
            to={`/workflows/${of.workflow_id}`}
            variant="subtle"
            color="gray"
            aria-label={`Open the workflow that ${of.name} was made of`}
          >
            <IconPencil size={16} />
          </ActionIcon>
        </Tooltip>
      )}
      <Confirmed
        title={`Delete the template “${of.name}”?`}
        text="Workflows that were made of it stay as they are."
        button="Delete"
        onYes={() => remove.mutate({ params: { path: { template_id: of.id } } })}
      >
        {(ask) => (
          <Tooltip label="Delete">
            <ActionIcon
              variant="subtle"
              color="red"
              onClick={ask}
              aria-label={`Delete the template ${of.name}`}
            >
              <IconTrash size={16} />
            </ActionIcon>
          </Tooltip>
        )}
      </Confirmed>
    </span>
  );
}
