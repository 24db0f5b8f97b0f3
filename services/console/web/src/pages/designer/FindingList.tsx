import { ActionIcon, Group, Text, UnstyledButton } from "@mantine/core";
import { IconAlertTriangle, IconCircleX, IconX } from "@tabler/icons-react";
import type { Found } from "./check/findings";
import { linksOf, graphAt } from "./model/graphs";
import { useDesign } from "./useDesign";

const SHOWN_MAX = 100;

/** What is wrong, and with a click where. */
export function FindingList({ onClose }: { onClose: () => void }) {
  const { found } = useDesign();
  const go = useJump();
  return (
    <section className="ff-designer-findings" aria-label="Findings" data-testid="findings">
      <Group justify="space-between" px="sm" pt={4}>
        <Text size="sm" fw={600}>
          {found.length === 0 ? "Nothing is wrong with it" : "Findings"}
        </Text>
        <ActionIcon variant="subtle" color="gray" size="sm" onClick={onClose} aria-label="Close the findings">
          <IconX size={14} />
        </ActionIcon>
      </Group>
      <ul style={{ listStyle: "none", margin: 0, padding: "0 0 4px" }}>
        {found.slice(0, SHOWN_MAX).map((one, index) => (
          <li key={index}>
            <UnstyledButton
              onClick={() => go(one)}
              w="100%"
              px="sm"
              py={3}
              className="ff-table-row"
              data-testid="finding"
              data-type={one.finding.type}
            >
              <Group gap={8} wrap="nowrap" align="flex-start">
                {one.isError ? (
                  <IconCircleX
                    size={16}
                    color="var(--ff-failed)"
                    style={{ flexShrink: 0 }}
                    aria-label="Error"
                  />
                ) : (
                  <IconAlertTriangle
                    size={16}
                    color="var(--ff-waiting)"
                    style={{ flexShrink: 0 }}
                    aria-label="Warning"
                  />
                )}
                <Text size="xs" style={{ overflowWrap: "anywhere" }}>
                  <b>{whereOf(one)}</b> {one.finding.message}
                  {one.finding.suggested_resolution === "" ? "" : ` → ${one.finding.suggested_resolution}`}
                </Text>
              </Group>
            </UnstyledButton>
          </li>
        ))}
      </ul>
    </section>
  );
}

function whereOf({ place, finding }: Found): string {
  if (place.kind === "node") return [...place.scope, place.id].join(" › ");
  return place.kind === "workflow" ? place.field : (finding.path ?? "$").replace(/^\$\./, "");
}

/** Selects what a finding is about, in the graph that it stands in. */
function useJump(): (found: Found) => void {
  const { definition, open } = useDesign();
  return ({ place }) => {
    if (place.kind === "node") open(place.scope, { nodes: [place.id], links: [] });
    else if (place.kind === "edge") {
      const graph = graphAt(definition, place.scope);
      const link =
        graph === null ? undefined : linksOf(graph).find(({ index }) => String(index) === place.id);
      open(place.scope, { nodes: [], links: link === undefined ? [] : [link.key] });
    } else open([]);
  };
}
