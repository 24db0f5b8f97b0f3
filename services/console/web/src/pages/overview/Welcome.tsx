/* For somebody who sees FlowForge for the first time: from here to a run that goes on in two clicks. */
import { Anchor, Button, Group, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { Link, useSearchParams } from "react-router";
import { Shown } from "../../ui/Said";
import { TemplateCard } from "../templates/TemplateCard";
import { UseTemplate } from "../templates/UseTemplate";
import { useTemplates } from "../templates/useTemplates";
import { starters } from "./welcome";

const STARTERS_COUNT = 3;

export function Welcome({ isUnrun }: { isUnrun: boolean }) {
  const [query, setQuery] = useSearchParams();
  const templates = useTemplates();
  return (
    <Stack gap="lg" data-testid="welcome">
      <Stack gap={4} maw={720}>
        <Title order={2}>{isUnrun ? "Nothing has run yet" : "Welcome to FlowForge"}</Title>
        <Text>
          {isUnrun
            ? "There are workflows, but none has run. Run one of yours, or see an example first:"
            : "A workflow is a few steps that run one after another, side by side, by the clock or when something happens. See one run: choose an example, make it yours, watch it."}
        </Text>
        {isUnrun ? (
          <Group>
            <Button component={Link} to="/workflows">
              See the workflows
            </Button>
          </Group>
        ) : null}
      </Stack>
      <Shown of={templates}>
        {({ items }) => (
          <SimpleGrid
            component="ul"
            cols={{ base: 1, sm: 2, lg: 3 }}
            m={0}
            p={0}
            style={{ listStyle: "none" }}
          >
            {starters(items, STARTERS_COUNT).map((one) => (
              <TemplateCard key={one.id} of={one} onUse={() => setQuery({ use: one.id })} />
            ))}
          </SimpleGrid>
        )}
      </Shown>
      <Text size="sm" c="dimmed">
        Or begin otherwise:{" "}
        <Anchor component={Link} to="/templates" size="sm" underline="always">
          all templates
        </Anchor>
        ,{" "}
        <Anchor component={Link} to="/workflows/new" size="sm" underline="always">
          draw one
        </Anchor>
        ,{" "}
        <Anchor component={Link} to="/workflows?import=yaml" size="sm" underline="always">
          paste one as YAML
        </Anchor>
        , or <code className="ff-mono">flowforge apply -f FILE</code>.
      </Text>
      <UseTemplate templateId={query.get("use")} onClose={() => setQuery({})} />
    </Stack>
  );
}
