/* What differs between two versions: at a glance, line by line, and field by field. */
import { SegmentedControl, Group, Stack, Table, Text, Title } from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";
import { useMemo } from "react";
import { api, type Schemas } from "../../api/client";
import { plain, toYaml } from "../../definition/plain";
import { textDiff } from "../../definition/textDiff";
import { Shown } from "../../ui/Said";
import { useFilters } from "../../ui/useFilters";
import { Lines } from "./Lines";
import { glance } from "./glance";

interface DifferenceProps {
  workflowId: string;
  from: number;
  to: number;
}

export function Difference({ workflowId, from, to }: DifferenceProps) {
  const [filter, setFilter] = useFilters();
  const isNarrow = useMediaQuery("(max-width: 48em)", false, { getInitialValueInEffect: false });
  const usual = isNarrow ? "unified" : "beside";
  const view = ["unified", "fields", "beside"].find((one) => one === filter("view")) ?? usual;
  const diff = api.useQuery(
    "get",
    "/api/workflows/{workflow_id}/diff",
    { params: { path: { workflow_id: workflowId }, query: { from, to } } },
    { staleTime: "static" },
  );
  return (
    <section aria-labelledby="difference-heading" data-testid="difference">
      <Group justify="space-between" mb="xs">
        <Title order={2} id="difference-heading">
          From version {from} to {to}
        </Title>
        <SegmentedControl
          size="xs"
          aria-label="How differences are shown"
          value={view}
          onChange={(next) => setFilter({ view: next === usual ? null : next })}
          data={[
            { value: "beside", label: "Side by side" },
            { value: "unified", label: "One below the other" },
            { value: "fields", label: "Field by field" },
          ]}
        />
      </Group>
      <Shown of={diff}>
        {(data) => (
          <Stack gap="xs">
            <Glance of={data.summary} />
            {view === "fields" ? (
              <Fields of={data.changes} />
            ) : (
              <Texts workflowId={workflowId} from={from} to={to} isBeside={view === "beside"} />
            )}
          </Stack>
        )}
      </Shown>
    </section>
  );
}

function Glance({ of }: { of: Schemas["Summary"] }) {
  const said = glance(of);
  return <Text size="sm">{said.length === 0 ? "Nothing that matters differs." : `${said.join("; ")}.`}</Text>;
}

function Texts({ workflowId, from, to, isBeside }: DifferenceProps & { isBeside: boolean }) {
  const [before, after] = [useVersion(workflowId, from), useVersion(workflowId, to)];
  const lines = useMemo(
    () =>
      before.data === undefined || after.data === undefined
        ? []
        : textDiff(toYaml(plain(before.data)), toYaml(plain(after.data))),
    [before.data, after.data],
  );
  return (
    <Shown of={before}>
      {() => (
        <Shown of={after}>
          {() => <Lines lines={lines} isBeside={isBeside} labels={[`Version ${from}`, `Version ${to}`]} />}
        </Shown>
      )}
    </Shown>
  );
}

/** No version ever changes. */
function useVersion(workflowId: string, version: number) {
  return api.useQuery(
    "get",
    "/api/workflows/{workflow_id}",
    { params: { path: { workflow_id: workflowId }, query: { version } } },
    { staleTime: "static" },
  );
}

function Fields({ of }: { of: Schemas["Difference"][] }) {
  return (
    <div className="ff-panel ff-scroll">
      <Table aria-label="Differences field by field">
        <Table.Thead>
          <Table.Tr>
            {["Field", "Change", "Before", "After"].map((label) => (
              <Table.Th key={label} fz="xs" c="dimmed">
                {label}
              </Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {of.map(({ path, change, before, after }) => (
            <Table.Tr key={path}>
              <Table.Td className="ff-mono">{path}</Table.Td>
              <Table.Td>{change}</Table.Td>
              <Table.Td>
                <pre className="ff-json ff-mono">
                  {before === undefined ? "–" : JSON.stringify(before, null, 1)}
                </pre>
              </Table.Td>
              <Table.Td>
                <pre className="ff-json ff-mono">
                  {after === undefined ? "–" : JSON.stringify(after, null, 1)}
                </pre>
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </div>
  );
}
