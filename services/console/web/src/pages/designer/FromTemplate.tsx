import { Modal, Stack, Text, UnstyledButton } from "@mantine/core";
import { Empty, Shown } from "../../ui/Said";
import { useTemplates } from "../templates/useTemplates";

/** The templates, to begin with one. */
export function FromTemplate({ onChoose, onClose }: { onChoose: (id: string) => void; onClose: () => void }) {
  const templates = useTemplates();
  return (
    <Modal opened onClose={onClose} title="Start from a template" size="lg">
      <Shown of={templates}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="There are no templates">Save a workflow as one, here in the designer.</Empty>
          ) : (
            <Stack gap={4}>
              {items.map(({ id, name, description, category }) => (
                <UnstyledButton
                  key={id}
                  className="ff-table-row"
                  p="xs"
                  onClick={() => onChoose(id)}
                  data-testid={`template-${id}`}
                >
                  <Text size="sm" fw={600}>
                    {name || id}
                    {category === "" ? null : (
                      <Text span size="xs" c="dimmed">
                        {" "}
                        · {category}
                      </Text>
                    )}
                  </Text>
                  <Text size="xs" c="dimmed">
                    {description}
                  </Text>
                </UnstyledButton>
              ))}
            </Stack>
          )
        }
      </Shown>
    </Modal>
  );
}
