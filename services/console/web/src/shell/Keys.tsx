/* Which keys do what. */
import { Group, Kbd, Modal, Table } from "@mantine/core";
import { places } from "./places";

const KEYS: [string[], string][] = [
  [["Ctrl", "K"], "Go to a page, a workflow, a trigger or a run; do something"],
  [["/"], "To the search field of the page, else to the palette"],
  [["↑", "↓"], "Up and down in a list (also k and j); Enter opens"],
  [["←", "→"], "On a run’s time slider: one event back, one on; Home and End to the first and the last"],
  [["Esc"], "Close what is open"],
  [["?"], "This list"],
];

export function Keys({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const rows: [string[], string][] = [
    ...KEYS,
    ...places.map(({ label, key }): [string[], string] => [["g", key], label]),
  ];
  return (
    <Modal opened={opened} onClose={onClose} title="Keys">
      <Table aria-label="Keys and what they do" data-testid="keys">
        <Table.Tbody>
          {rows.map(([keys, means]) => (
            <Table.Tr key={means}>
              <Table.Th w={110} scope="row">
                <Group gap={4} wrap="nowrap">
                  {keys.map((key) => (
                    <Kbd key={key}>{key}</Kbd>
                  ))}
                </Group>
              </Table.Th>
              <Table.Td>{means}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Modal>
  );
}
