import { Box, Button, Center, SegmentedControl, SimpleGrid, Stack, Text } from "@mantine/core";
import { IconEqual, IconMinus, IconPlus } from "@tabler/icons-react";
import { useMemo, useState } from "react";
import { CauseLink } from "../../triggers/CauseLink";
import { decisionInWords } from "../../triggers/decisions";
import { Words } from "../../triggers/Words";
import { Rows, type Column } from "../../ui/List";
import { Empty } from "../../ui/Said";
import { RunLink } from "../../ui/RunLink";
import { Status } from "../../ui/Status";
import { count } from "../../ui/times";
import { When } from "../../ui/When";
import { counted, differenceOf, type Difference, type Judged, type Rehearsal } from "./rehearsal";

const ROWS_MAX = 200;

interface ComparedProps {
  of: Rehearsal;
  onMore: (cursor: string) => void;
  isBusy: boolean;
}

/** What did fire beside what would have; differences first. */
export function Compared({ of, onMore, isBusy }: ComparedProps) {
  const [isAll, setAll] = useState(true);
  const [shown, setShown] = useState(ROWS_MAX);
  const counts = useMemo(() => counted(of.items), [of.items]);
  const rows = isAll ? of.items : of.items.filter((item) => differenceOf(item) !== "same");
  return (
    <Stack gap="sm" data-testid="what-if-answer">
      <SimpleGrid cols={{ base: 2, sm: 4 }} spacing="sm">
        <Tally label="did fire" value={of.didFire} testId="did-fire" />
        <Tally label="would have fired" value={of.wouldFire} testId="would-fire" />
        <Tally label="would fire, did not" value={counts.would} testId="would-more" sign="+" />
        <Tally label="did fire, would not" value={counts["would not"]} testId="would-fewer" sign="−" />
      </SimpleGrid>
      <Text size="sm" c="dimmed">
        Of {count(of.evaluated)} events that concern it
        {of.nextCursor === null ? "" : `; compared are the newest ${count(of.items.length)}`}.
      </Text>
      {of.items.length === 0 ? (
        <Empty title="Nothing to judge">
          In this time no event came that concerns it. Look further back.
        </Empty>
      ) : (
        <>
          <SegmentedControl
            aria-label="Which decisions"
            data={[
              { value: "all", label: "Differences first" },
              {
                value: "differences",
                label: `Differences only (${count(counts.would + counts["would not"])})`,
              },
            ]}
            value={isAll ? "all" : "differences"}
            onChange={(value) => setAll(value === "all")}
            style={{ alignSelf: "flex-start" }}
          />
          {rows.length === 0 ? (
            <Empty title="No difference">It would have fired for exactly the same events.</Empty>
          ) : (
            <div className="ff-panel ff-scroll">
              <Rows
                items={rows.slice(0, shown)}
                columns={columns}
                row={(item) => ({
                  key: `${item.position} ${item.cause.event_id} ${item.decision}`,
                  "data-testid": "what-if-row",
                  "data-decision": item.decision,
                  "data-difference": differenceOf(item),
                })}
                label="What it would have decided"
              />
            </div>
          )}
          <Center>
            {rows.length > shown ? (
              <Button variant="default" size="compact-sm" onClick={() => setShown(shown + ROWS_MAX)}>
                Show more
              </Button>
            ) : of.nextCursor === null ? null : (
              <Button
                variant="default"
                size="compact-sm"
                loading={isBusy}
                onClick={() => of.nextCursor !== null && onMore(of.nextCursor)}
              >
                Compare older ones too
              </Button>
            )}
          </Center>
        </>
      )}
    </Stack>
  );
}

function Tally(props: { label: string; value: number; testId: string; sign?: string }) {
  const { label, value, testId, sign = "" } = props;
  return (
    <Box className="ff-panel" p="sm">
      <Text size="xl" fw={650} className="ff-number" data-testid={testId}>
        {value === 0 ? "" : sign}
        {count(value)}
      </Text>
      <Text size="sm" c="dimmed">
        {label}
      </Text>
    </Box>
  );
}

const signs = { would: IconPlus, "would not": IconMinus, same: IconEqual };
const colours: Record<Difference, string> = {
  would: "var(--ff-completed)",
  "would not": "var(--ff-failed)",
  same: "var(--ff-idle)",
};
const words: Record<Difference, string> = { would: "new", "would not": "no more", same: "same" };

function Sign({ of }: { of: Judged }) {
  const difference = differenceOf(of);
  const Mark = signs[difference];
  return (
    <span
      style={{
        color: colours[difference],
        display: "inline-flex",
        gap: 4,
        alignItems: "center",
        whiteSpace: "nowrap",
      }}
    >
      <Mark size={16} aria-hidden />
      {words[difference]}
    </span>
  );
}

const columns: Column<Judged>[] = [
  { label: "Change", cell: (item) => <Sign of={item} />, width: 100 },
  {
    label: "Did",
    width: 120,
    cell: ({ didFire, runId }) =>
      !didFire ? (
        <Text size="sm" c="dimmed">
          did not fire
        </Text>
      ) : runId === null ? (
        <Status status="fired" />
      ) : (
        <>
          <Status status="fired" /> <RunLink runId={runId} />
        </>
      ),
  },
  {
    label: "Would",
    cell: (item) => (
      <div>
        <Status status={item.decision} />
        {item.decision === "fired" ? null : (
          <Text size="xs" c="dimmed" component="div">
            <Words of={decisionInWords(item)} />
          </Text>
        )}
      </div>
    ),
  },
  { label: "Event", cell: ({ cause }) => <CauseLink cause={cause} /> },
  { label: "When", cell: ({ at }) => <When at={at} />, isExtra: true, align: "right" },
];
