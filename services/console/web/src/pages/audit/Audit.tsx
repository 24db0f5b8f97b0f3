import { Anchor, Select, Stack, Text } from "@mantine/core";
import { Link } from "react-router";
import { api } from "../../api/client";
import { byCursor, PAGE_SIZE } from "../../api/pages";
import { useMay } from "../../shell/session";
import { FilterText } from "../../ui/FilterText";
import { List, type Column } from "../../ui/List";
import { Page } from "../../ui/Page";
import { Empty } from "../../ui/Said";
import { Since } from "../../ui/Since";
import { sinceOf } from "../../ui/spans";
import { given, useFilters } from "../../ui/useFilters";
import { When } from "../../ui/When";
import { deedOf, pageOf, RESOURCES, thingOf, type Entry } from "./entries";

const NAMES = ["actor", "action", "resource", "subject", "workflow_id"] as const;

export default function Audit() {
  const isAdmin = useMay("admin");
  return (
    <Page title="Audit">
      {isAdmin ? (
        <Trail />
      ) : (
        <Empty title="For administrators">
          Who did what is shown to administrators only. Ask one of them.
        </Empty>
      )}
    </Page>
  );
}

/** Who did what, and when. */
function Trail() {
  const [filter, setFilter] = useFilters();
  const since = sinceOf(filter("since"));
  const asked = given(filter, NAMES);
  const query = { limit: PAGE_SIZE, ...asked, ...(since === undefined ? {} : { since }) };
  const audit = api.useInfiniteQuery("get", "/api/audit", { params: { query } }, byCursor);
  const isFiltered = Object.keys(asked).length > 0 || since !== undefined;
  return (
    <Stack gap="sm">
      <div className="ff-filters">
        <FilterText
          label="Who"
          value={filter("actor")}
          onChange={(text) => setFilter({ actor: text })}
          isSearch
          width={160}
        />
        <FilterText
          label="Action"
          placeholder="Action, such as execute"
          value={filter("action")}
          onChange={(text) => setFilter({ action: text })}
        />
        <Select
          aria-label="Kind of thing"
          placeholder="Any kind of thing"
          data={RESOURCES.map((value) => ({ value, label: value.replaceAll("_", " ") }))}
          value={filter("resource") === "" ? null : filter("resource")}
          onChange={(value) => setFilter({ resource: value })}
          clearable
          searchable
          w={180}
        />
        <FilterText
          label="Its id"
          value={filter("subject")}
          onChange={(text) => setFilter({ subject: text })}
        />
        <Since value={filter("since")} onChange={(value) => setFilter({ since: value })} />
      </div>
      <List
        of={audit}
        columns={columns}
        row={(one) => ({
          key: String(one.position),
          "data-testid": `audit-row-${one.position}`,
          "data-action": one.action,
        })}
        label="What was done, newest first"
        empty={
          isFiltered ? (
            <Empty title="Nothing such was done">Look for another name, or further back.</Empty>
          ) : (
            <Empty title="Nobody has done anything yet">
              Every change and every run by hand stands here, with who did it.
            </Empty>
          )
        }
      />
    </Stack>
  );
}

const columns: Column<Entry>[] = [
  {
    label: "Who",
    cell: ({ actor }) =>
      actor === null ? (
        <Text size="sm" c="dimmed">
          nobody
        </Text>
      ) : (
        <Anchor component={Link} to={`/audit?actor=${encodeURIComponent(actor)}`} size="sm">
          {actor}
        </Anchor>
      ),
  },
  {
    label: "Did what",
    cell: (entry) => (
      <Text size="sm" component="div" style={{ overflowWrap: "anywhere" }}>
        {deedOf(entry)} <Thing entry={entry} />
      </Text>
    ),
  },
  {
    label: "Action",
    isExtra: true,
    cell: ({ action }) => (
      <Anchor component={Link} to={`/audit?action=${action}`} size="xs" className="ff-mono">
        {action}
      </Anchor>
    ),
  },
  {
    label: "Workflow",
    isExtra: true,
    cell: ({ workflow_id: id }) =>
      id === null ? null : (
        <Anchor component={Link} to={`/workflows/${id}`} size="sm">
          {id}
        </Anchor>
      ),
  },
  { label: "When", cell: ({ at }) => <When at={at} />, align: "right" },
];

function Thing({ entry }: { entry: Entry }) {
  const to = pageOf(entry);
  const { kind, name, of } = thingOf(entry);
  return (
    <>
      {kind}{" "}
      {to === null ? (
        <code className="ff-mono">{name}</code>
      ) : (
        <Anchor component={Link} to={to} size="sm" className="ff-mono" title={entry.subject}>
          {name}
        </Anchor>
      )}
      {of === null ? "" : ` of ${of}`}
    </>
  );
}
