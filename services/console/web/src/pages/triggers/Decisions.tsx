import { Badge, Group, Select, Stack, Text, Tooltip } from "@mantine/core";
import type { Schemas } from "../../api/client";
import { CauseLink } from "../../triggers/CauseLink";
import { decisionInWords, decisionName, DECISIONS } from "../../triggers/decisions";
import { Words } from "../../triggers/Words";
import { FilterText } from "../../ui/FilterText";
import { List, type Column } from "../../ui/List";
import { Empty } from "../../ui/Said";
import { RunLink } from "../../ui/RunLink";
import { Status } from "../../ui/Status";
import { useFilters } from "../../ui/useFilters";
import { When } from "../../ui/When";
import type { useDecisions } from "./useDecisions";

type Decision = Schemas["DecisionView"];

export function Decisions({ of }: { of: ReturnType<typeof useDecisions> }) {
  const [filter, setFilter] = useFilters();
  const cause = filter("cause");
  const decision = filter("decision");
  return (
    <Stack gap="sm">
      <div className="ff-filters">
        <Select
          aria-label="Decision"
          placeholder="Any decision"
          data={DECISIONS.map((value) => ({ value, label: decisionName(value) }))}
          value={decision === "" ? null : decision}
          onChange={(value) => setFilter({ decision: value })}
          clearable
          w={180}
        />
        <FilterText
          label="Id of an event"
          placeholder="Why (not) for this event? Its id"
          value={cause}
          onChange={(text) => setFilter({ cause: text })}
          isSearch
          width={320}
        />
      </div>
      <List
        of={of}
        columns={columns}
        row={(one) => ({
          key: `${one.position} ${one.cause.event_id}`,
          "data-testid": "decision-row",
          "data-decision": one.decision,
          "data-cause": one.cause.event_id,
        })}
        label="Decisions, newest first"
        empty={<None cause={cause} decision={decision} />}
      />
    </Stack>
  );
}

function None({ cause, decision }: { cause: string; decision: string }) {
  if (cause !== "")
    return (
      <Empty title="No answer to such an event">
        Either no event has this id, or the event does not concern this trigger: its type or source is
        another.
      </Empty>
    );
  if (decision !== "")
    return (
      <Empty title={`Never ${decision.replaceAll("_", " ")}`}>
        Take the filter away to see what it did decide.
      </Empty>
    );
  return (
    <Empty title="Nothing decided yet">
      As soon as something comes that concerns this trigger, you see here whether it fired, and if not, why
      not.
    </Empty>
  );
}

const columns: Column<Decision>[] = [
  { label: "Decision", cell: (one) => <Decided of={one} /> },
  {
    label: "Cause",
    cell: ({ cause, decided_at: at }) => (
      <>
        <CauseLink cause={cause} />
        <Text size="xs" c="dimmed" className="ff-only-narrow">
          <When at={at} />
        </Text>
      </>
    ),
  },
  {
    label: "Run",
    cell: ({ run_id: id }) => (id === null ? null : <RunLink runId={id} />),
  },
  { label: "Version", cell: ({ trigger_version: version }) => version, isExtra: true, align: "right" },
  { label: "When", cell: ({ decided_at: at }) => <When at={at} />, isExtra: true, align: "right" },
];

function Decided({ of }: { of: Decision }) {
  const isPlain = of.decision === "fired" && of.consumed.length < 2;
  return (
    <div style={{ minWidth: 130 }}>
      <Group gap={6}>
        <Status status={of.decision} />
        {of.computed ? (
          <Tooltip label="An index ruled it out, so nothing is on record. This is the answer as the trigger was then.">
            <Badge variant="default" size="sm" tabIndex={0} data-testid="computed">
              computed now
            </Badge>
          </Tooltip>
        ) : null}
      </Group>
      {isPlain ? null : (
        <Text size="sm" component="div">
          <Words of={decisionInWords(of)} />
        </Text>
      )}
    </div>
  );
}
