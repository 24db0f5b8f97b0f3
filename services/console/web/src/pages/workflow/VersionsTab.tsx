/* Every version there was, what changed between any two, and the way back to an older one. */
import { Badge, Button, Group, Radio, Stack, Table, Text, Title } from "@mantine/core";
import { IconHistory } from "@tabler/icons-react";
import { api, type Schemas } from "../../api/client";
import { byCursor, PAGE_SIZE } from "../../api/pages";
import { moveInList } from "../../shell/keys";
import { useMay } from "../../shell/session";
import { Confirmed } from "../../ui/Confirmed";
import { Failed, Loading } from "../../ui/Said";
import { say } from "../../ui/say";
import { useFilters } from "../../ui/useFilters";
import { When } from "../../ui/When";
import { Difference } from "./Difference";
import type { TabProps } from "./Workflow";

export function VersionsTab({ workflow }: TabProps) {
  const [filter, setFilter] = useFilters();
  const versions = api.useInfiniteQuery(
    "get",
    "/api/workflows/{workflow_id}/versions",
    { params: { path: { workflow_id: workflow.id }, query: { limit: PAGE_SIZE } } },
    byCursor,
  );
  const items = versions.data?.pages.flatMap((page) => page.items);
  if (items === undefined)
    return versions.isPending ? (
      <Loading />
    ) : (
      <Failed error={versions.error} onRetry={() => void versions.refetch()} />
    );
  const to = whole(filter("to")) ?? workflow.version;
  const from = whole(filter("from")) ?? (to > 1 ? to - 1 : to);
  return (
    <Stack gap="md">
      <section aria-labelledby="versions-heading">
        <Title order={2} id="versions-heading">
          Versions
        </Title>
        <Text size="sm" c="dimmed" mb="xs">
          Each save makes one, and none is ever changed. Choose two to see what differs.
        </Text>
        <div className="ff-panel ff-scroll" style={{ maxHeight: 360 }}>
          <Table aria-label="Versions" onKeyDown={moveInList}>
            <Table.Thead>
              <Table.Tr>
                {["From", "To", "Version", "Saved", "By", ""].map((label) => (
                  <Table.Th
                    key={label}
                    fz="xs"
                    c="dimmed"
                    className={label === "By" ? "ff-extra" : undefined}
                  >
                    {label === "" ? <span className="ff-hidden">What can be done</span> : label}
                  </Table.Th>
                ))}
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {items.map((one) => (
                <Row
                  key={one.version}
                  of={one}
                  workflow={workflow}
                  isFrom={one.version === from}
                  isTo={one.version === to}
                  onFrom={() => setFilter({ from: String(one.version) })}
                  onTo={() => setFilter({ to: String(one.version) })}
                />
              ))}
            </Table.Tbody>
          </Table>
          {versions.hasNextPage ? (
            <Button variant="subtle" size="compact-sm" m="xs" onClick={() => void versions.fetchNextPage()}>
              Show older ones
            </Button>
          ) : null}
        </div>
      </section>
      {from === to ? (
        <Text size="sm" c="dimmed">
          {workflow.version === 1
            ? "There is one version only: nothing to compare yet."
            : "Choose two different versions."}
        </Text>
      ) : (
        <Difference workflowId={workflow.id} from={from} to={to} />
      )}
    </Stack>
  );
}

function whole(text: string): number | null {
  return /^[1-9][0-9]*$/.test(text) ? Number(text) : null;
}

interface RowProps extends TabProps {
  of: Schemas["Version"];
  isFrom: boolean;
  isTo: boolean;
  onFrom: () => void;
  onTo: () => void;
}

function Row({ of, workflow, isFrom, isTo, onFrom, onTo }: RowProps) {
  return (
    <Table.Tr className="ff-table-row" data-row data-testid={`version-row-${of.version}`}>
      <Table.Td w={60}>
        <Radio name="from" checked={isFrom} onChange={onFrom} aria-label={`From version ${of.version}`} />
      </Table.Td>
      <Table.Td w={60}>
        <Radio name="to" checked={isTo} onChange={onTo} aria-label={`To version ${of.version}`} />
      </Table.Td>
      <Table.Td>
        <Group gap="xs">
          <span className="ff-number">{of.version}</span>
          {of.version === workflow.version ? (
            <Badge variant="default" tt="none" size="sm" style={{ flexShrink: 0 }}>
              in force
            </Badge>
          ) : null}
          {of.rolled_back_to === null ? null : (
            <Text size="xs" c="dimmed">
              as {of.rolled_back_to} was
            </Text>
          )}
        </Group>
      </Table.Td>
      <Table.Td>
        <When at={of.created_at} />
      </Table.Td>
      <Table.Td className="ff-extra">{of.created_by ?? "–"}</Table.Td>
      <Table.Td ta="right">
        {of.version === workflow.version ? null : <Back of={of} workflow={workflow} />}
      </Table.Td>
    </Table.Tr>
  );
}

function Back({ of, workflow }: TabProps & { of: Schemas["Version"] }) {
  const mayEdit = useMay("editor");
  const rollback = api.useMutation("post", "/api/workflows/{workflow_id}/rollback", {
    onSuccess: ({ version }) => say(`Version ${version} is in force, as version ${of.version} was.`),
  });
  if (!mayEdit) return null;
  return (
    <Confirmed
      title={`Back to version ${of.version}?`}
      text={`It is saved once more as version ${workflow.version + 1}, which is then in force. Nothing is lost; runs that go on keep their version.`}
      button={`Back to version ${of.version}`}
      isHarmless
      onYes={() =>
        rollback.mutate({
          params: { path: { workflow_id: workflow.id }, header: { "If-Match": `"${workflow.version}"` } },
          body: { version: of.version },
        })
      }
    >
      {(ask) => (
        <Button
          variant="default"
          size="compact-xs"
          leftSection={<IconHistory size={13} aria-hidden />}
          loading={rollback.isPending}
          onClick={ask}
          aria-label={`Back to this: version ${of.version}`}
        >
          <Text span inherit visibleFrom="xs">
            Back to this
          </Text>
        </Button>
      )}
    </Confirmed>
  );
}
