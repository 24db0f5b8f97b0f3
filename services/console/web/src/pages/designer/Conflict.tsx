/* Somebody saved meanwhile: what they changed, what one changed oneself, and what to do now. */
import { Alert, Button, Group, Modal, Stack, Table, Text } from "@mantine/core";
import { useMemo } from "react";
import type { Definition } from "./model/definition";
import { differences, type Difference } from "./model/differences";

export interface Clash {
  theirs: Definition;
  version: number;
  by: string | null;
}

interface ConflictProps {
  clash: Clash | null;
  /** What both began from. */
  base: Definition | null;
  mine: Definition;
  isBusy: boolean;
  onSaveOver: () => void;
  onReload: () => void;
  onClose: () => void;
}

export function Conflict({ clash, base, mine, isBusy, onSaveOver, onReload, onClose }: ConflictProps) {
  const theirs = clash?.theirs;
  const lists = useMemo(
    () => ({
      their: theirs === undefined ? [] : differences(base ?? {}, theirs),
      own: theirs === undefined ? [] : differences(theirs, mine),
    }),
    [theirs, base, mine],
  );
  return (
    <Modal opened={clash !== null} onClose={onClose} size="xl" title="Somebody saved it meanwhile">
      <Stack data-testid="conflict">
        <Alert color="yellow" variant="light">
          <Text size="sm">
            Version {clash?.version} was saved{clash?.by == null ? "" : ` by ${clash.by}`} after you began.
            Saving over it makes a further version of yours; theirs stays among the versions.
          </Text>
        </Alert>
        <Differences title="What they changed" of={lists.their} labels={["You began with", "Theirs"]} />
        <Differences title="What would be changed by yours" of={lists.own} labels={["Theirs", "Yours"]} />
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            Go on editing
          </Button>
          <Button variant="default" onClick={onReload}>
            Take theirs, drop mine
          </Button>
          <Button onClick={onSaveOver} loading={isBusy}>
            Save mine over it
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}

function Differences({ title, of, labels }: { title: string; of: Difference[]; labels: [string, string] }) {
  return (
    <div>
      <Text fw={600} size="sm">
        {title}
      </Text>
      {of.length === 0 ? (
        <Text size="sm" c="dimmed">
          Nothing
        </Text>
      ) : (
        <div className="ff-scroll" style={{ maxHeight: 220 }} tabIndex={0} role="region" aria-label={title}>
          <Table fz="xs" withRowBorders>
            <Table.Thead>
              <Table.Tr>
                {["Where", ...labels].map((label) => (
                  <Table.Th key={label}>{label}</Table.Th>
                ))}
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {of.map(({ path, before, after }) => (
                <Table.Tr key={path}>
                  <Table.Td className="ff-mono">{path}</Table.Td>
                  <Table.Td className="ff-mono">{short(before)}</Table.Td>
                  <Table.Td className="ff-mono">{short(after)}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </div>
      )}
    </div>
  );
}

const SHOWN_CHARACTERS_MAX = 160;

function short(value: unknown): string {
  if (value === undefined) return "–";
  const text = JSON.stringify(value);
  return text.length > SHOWN_CHARACTERS_MAX ? `${text.slice(0, SHOWN_CHARACTERS_MAX)}…` : text;
}
