/* The command palette: pages, workflows, a run by its id, and what can be done. */
import { Spotlight, type SpotlightActionData, type SpotlightActionGroupData } from "@mantine/spotlight";
import { IconPlus, IconSearch } from "@tabler/icons-react";
import { useState } from "react";
import { useNavigate } from "react-router";
import { api } from "../api/client";
import { places } from "./places";
import { useMay } from "./session";

const WORKFLOWS_MAX = 1_000;
const RUN_ID = /^[0-9a-f]{8}-[0-9a-f-]{27}$/i;

export function Palette() {
  const go = useNavigate();
  const mayEdit = useMay("editor");
  const [query, setQuery] = useState("");
  const [isOpen, setOpen] = useState(false);
  const workflows = api.useQuery(
    "get",
    "/api/workflows",
    { params: { query: { limit: WORKFLOWS_MAX } } },
    { enabled: isOpen },
  );
  const act = (id: string, label: string, to: string, description?: string): SpotlightActionData => ({
    id,
    label,
    ...(description === undefined ? {} : { description }),
    onClick: () => void go(to),
  });
  const groups: SpotlightActionGroupData[] = [
    {
      group: "Pages",
      actions: places.map(({ to, label, icon: Sign, key }) => ({
        ...act(`page ${to}`, label, to, `g ${key}`),
        leftSection: <Sign size={18} aria-hidden />,
      })),
    },
  ];
  if (mayEdit) {
    const draw = {
      ...act("new", "Draw a new workflow", "/workflows/new"),
      leftSection: <IconPlus size={18} aria-hidden />,
    };
    groups.push({ group: "Do", actions: [draw] });
  }
  const items = workflows.data?.items ?? [];
  groups.push({
    group: "Workflows",
    actions: items.map(({ id, name }) => act(`workflow ${id}`, name, `/workflows/${id}`, id)),
  });
  const asked = query.trim();
  if (RUN_ID.test(asked)) {
    groups.push({ group: "Runs", actions: [act(`run ${asked}`, `Run ${asked}`, `/runs/${asked}`)] });
  }
  return (
    <Spotlight
      actions={groups}
      query={query}
      onQueryChange={setQuery}
      onSpotlightOpen={() => setOpen(true)}
      shortcut={["mod + K", "mod + P"]}
      limit={20}
      nothingFound="Nothing of that name. Ids of runs can be typed whole."
      searchProps={{
        placeholder: "A page, a workflow, the id of a run…",
        leftSection: <IconSearch size={18} />,
        "aria-label": "Search",
      }}
      scrollable
      highlightQuery
    />
  );
}
