import { Badge, Button, Group, Stack, Text, Title } from "@mantine/core";
import { api, type Schemas } from "../../api/client";
import { drawnOf } from "../../graph/ofDefinition";
import { Sketch } from "../../graph/Sketch";

const SKETCH_PX = 110;

interface TemplateCardProps {
  of: Schemas["TemplateSummary"];
  onUse: () => void;
  /** Of the headings around. */
  order?: 2 | 3;
  children?: React.ReactNode;
}

/** What a template is called, what it looks like, what it shows. */
export function TemplateCard({ of, onUse, order = 3, children }: TemplateCardProps) {
  const whole = api.useQuery(
    "get",
    "/api/templates/{template_id}",
    { params: { path: { template_id: of.id } } },
    { staleTime: 60_000 },
  );
  return (
    <Stack component="li" className="ff-panel" p="md" gap="xs" data-testid={`template-${of.id}`}>
      <Group justify="space-between" wrap="nowrap" align="flex-start">
        <Title order={order}>{of.name}</Title>
        {of.category === "" ? null : (
          <Badge variant="default" tt="none" fw={500} style={{ flexShrink: 0 }}>
            {of.category}
          </Badge>
        )}
      </Group>
      <div style={{ height: SKETCH_PX }}>
        {whole.data === undefined ? null : (
          <Sketch
            drawn={drawnOf(whole.data.definition)}
            label={`What ${of.name} looks like`}
            height={SKETCH_PX}
          />
        )}
      </div>
      <Text size="sm" c="dimmed" style={{ flex: 1 }}>
        {of.description}
      </Text>
      <Group gap="xs" justify="space-between">
        <Button onClick={onUse} aria-label={`Use it: ${of.name}`}>
          Use it
        </Button>
        {children}
      </Group>
    </Stack>
  );
}
