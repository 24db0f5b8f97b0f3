/* The command palette: pages, workflows, triggers, runs by their id, and what can be done. */
import { Spotlight, type SpotlightActionData, type SpotlightActionGroupData } from "@mantine/spotlight";
import { useDebouncedValue } from "@mantine/hooks";
import { IconFileImport, IconKeyboard, IconPlus, IconSearch, IconSend } from "@tabler/icons-react";
import { useState } from "react";
import { useNavigate } from "react-router";
import { api } from "../api/client";
import { shortId } from "../ui/shortId";
import { runIdsFor } from "./found";
import { places } from "./places";
import { useMay } from "./session";

const WORKFLOWS_MAX = 1_000;
/** Among so many of the newest runs one is found by the end of its id. */
const RUNS_MAX = 500;
const TRIGGERS_MAX = 8;
const TYPED_MS = 200;

export function Palette({ onKeys }: { onKeys: () => void }) {
  const go = useNavigate();
  const [query, setQuery] = useState("");
  const [isOpen, setOpen] = useState(false);
  const act = (id: string, label: string, to: string, description?: string): SpotlightActionData => ({
    id,
    label,
    ...(description === undefined ? {} : { description }),
    onClick: () => void go(to),
  });
  const found = useFound(query.trim(), isOpen);
  const keys: SpotlightActionData = {
    id: "keys",
    label: "Keys of the keyboard",
    description: "?",
    onClick: onKeys,
    leftSection: <IconKeyboard size={18} aria-hidden />,
  };
  const groups: SpotlightActionGroupData[] = [
    {
      group: "Pages",
      actions: places.map(({ to, label, icon: Sign, key }) => ({
        ...act(`page ${to}`, label, to, `g ${key}`),
        leftSection: <Sign size={18} aria-hidden />,
      })),
    },
    { group: "Do", actions: [...useDeeds(act), keys] },
    {
      group: "Runs",
      actions: found.runs.map(({ id, of }) =>
        /* the keyword keeps it among what fits, whatever part of the id was typed */
        ({ ...act(`run ${id}`, `Run ${shortId(id)}`, `/runs/${id}`, of), keywords: [id, query.trim()] }),
      ),
    },
    {
      group: "Workflows",
      actions: found.workflows.map(({ id, name }) => act(`workflow ${id}`, name, `/workflows/${id}`, id)),
    },
    {
      group: "Triggers",
      actions: found.triggers.map(({ id, name, workflow_id: of }) => ({
        ...act(
          `trigger ${of}/${id}`,
          name === "" ? id : name,
          `/workflows/${of}/triggers/${id}`,
          `trigger of ${of}`,
        ),
        keywords: [id, of],
      })),
    },
  ];
  return (
    <Spotlight
      actions={groups.filter(({ actions }) => actions.length > 0)}
      query={query}
      onQueryChange={setQuery}
      onSpotlightOpen={() => setOpen(true)}
      onSpotlightClose={() => setOpen(false)}
      shortcut={["mod + K", "mod + P"]}
      limit={20}
      nothingFound="Nothing of that name. An old run is found by its whole id."
      searchProps={{
        placeholder: "A page, a workflow, a trigger, the id of a run…",
        leftSection: <IconSearch size={18} />,
        "aria-label": "Search",
      }}
      scrollable
      highlightQuery
    />
  );
}

function useFound(typed: string, isOpen: boolean) {
  const [asked] = useDebouncedValue(typed, TYPED_MS);
  const workflows = api.useQuery(
    "get",
    "/api/workflows",
    { params: { query: { limit: WORKFLOWS_MAX } } },
    { enabled: isOpen },
  );
  const isId = runIdsFor(typed, [typed.toLowerCase()]).length > 0;
  const newest = api.useQuery(
    "get",
    "/api/runs",
    { params: { query: { limit: RUNS_MAX } } },
    { enabled: isOpen && isId, staleTime: 5_000 },
  );
  const triggers = api.useQuery(
    "get",
    "/api/triggers",
    { params: { query: { search: asked, limit: TRIGGERS_MAX } } },
    { enabled: isOpen && asked.length > 1 },
  );
  const runs = newest.data?.items ?? [];
  return {
    workflows: workflows.data?.items ?? [],
    triggers: typed.length > 1 ? (triggers.data?.items ?? []) : [],
    runs: runIdsFor(
      typed,
      runs.map((run) => run.run_id),
    ).map((id) => {
      const run = runs.find((one) => one.run_id === id);
      return { id, of: run === undefined ? id : `${run.workflow_id} · ${run.status}` };
    }),
  };
}

type Act = (id: string, label: string, to: string) => SpotlightActionData;

function useDeeds(act: Act): SpotlightActionData[] {
  const mayEdit = useMay("editor");
  if (!mayEdit) return [];
  return [
    {
      ...act("new", "Draw a new workflow", "/workflows/new"),
      leftSection: <IconPlus size={18} aria-hidden />,
    },
    {
      ...act("import", "Import a workflow from YAML", "/workflows?import=yaml"),
      leftSection: <IconFileImport size={18} aria-hidden />,
    },
    {
      ...act("publish", "Publish an event", "/events?publish=event"),
      leftSection: <IconSend size={18} aria-hidden />,
    },
  ];
}
