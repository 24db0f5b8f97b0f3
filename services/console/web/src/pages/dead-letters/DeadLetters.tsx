import { Button, Checkbox, Group, Select, Stack } from "@mantine/core";
import { IconRefresh } from "@tabler/icons-react";
import { useMutation } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { Link } from "react-router";
import { api, http, Problem } from "../../api/client";
import { paced, useLive } from "../../api/live";
import { byCursor, PAGE_SIZE } from "../../api/pages";
import { moveInList } from "../../shell/keys";
import { useMay } from "../../shell/session";
import { FilterText } from "../../ui/FilterText";
import { Page } from "../../ui/Page";
import { Empty, Shown } from "../../ui/Said";
import { say, sayProblem } from "../../ui/say";
import { count } from "../../ui/times";
import { useFilters } from "../../ui/useFilters";
import { More } from "../../ui/More";
import { Letter } from "./Letter";

const REFRESH_MS = 500;
/** There is none, or its service does not want it: another one may be wanted. */
const OF_ONE_LETTER = new Set([404, 409, 422]);
const STATES = ["open", "retried"] as const;

/** Messages that could not be handled: what, why, when, and once more. */
export default function DeadLetters() {
  const mayRetry = useMay("operator");
  const [filter, setFilter] = useFilters();
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const status = STATES.find((one) => one === filter("status"));
  const service = filter("service");
  const query = {
    limit: PAGE_SIZE,
    ...(status === undefined ? {} : { status }),
    ...(service === "" ? {} : { service }),
  };
  const letters = api.useInfiniteQuery("get", "/api/dead-letters", { params: { query } }, byCursor);
  const { refetch } = letters;
  const refresh = useMemo(() => paced(() => refetch(), REFRESH_MS), [refetch]);
  useLive("/api/stream?types=MessageQuarantined,DeadLetterRetried", refresh);
  const retry = useMutation({
    mutationFn: retried,
    onSuccess: (all) => {
      tell(all);
      setChosen(new Set(all.left));
    },
  });
  const isFiltered = status !== undefined || service !== "";
  return (
    <Page title="Dead letters">
      <Stack gap="sm">
        <div className="ff-filters">
          <Select
            aria-label="State"
            placeholder="Any state"
            data={[...STATES]}
            value={status ?? null}
            onChange={(value) => setFilter({ status: value })}
            clearable
            w={150}
          />
          <FilterText
            label="Service"
            value={service}
            onChange={(text) => setFilter({ service: text })}
            isSearch
          />
        </div>
        <Shown of={letters}>
          {({ pages }) => {
            const items = pages.flatMap((page) => page.items);
            const open = items.filter((one) => one.status === "open").map(({ id }) => id);
            const taken = open.filter((id) => chosen.has(id));
            if (items.length === 0)
              return isFiltered ? (
                <Empty title="None such">Take the filter away to see all.</Empty>
              ) : (
                <GoodNews />
              );
            return (
              <>
                {mayRetry && open.length > 0 ? (
                  <Group gap="sm">
                    <Checkbox
                      label={`All ${count(open.length)} open ones shown`}
                      checked={taken.length === open.length}
                      indeterminate={taken.length > 0 && taken.length < open.length}
                      onChange={({ currentTarget }) => setChosen(new Set(currentTarget.checked ? open : []))}
                    />
                    <Button
                      leftSection={<IconRefresh size={16} aria-hidden />}
                      disabled={taken.length === 0}
                      loading={retry.isPending}
                      onClick={() => retry.mutate(taken)}
                      data-testid="retry-chosen"
                    >
                      Retry {taken.length === 0 ? "the chosen ones" : count(taken.length)}
                    </Button>
                  </Group>
                ) : null}
                <Stack gap="sm" onKeyDown={moveInList}>
                  {items.map((letter) => (
                    <Letter
                      key={letter.id}
                      letter={letter}
                      isChosen={chosen.has(letter.id)}
                      onChoose={(isChosen) => setChosen((before) => changed(before, letter.id, isChosen))}
                      onRetry={() => retry.mutate([letter.id])}
                      isBusy={retry.isPending}
                      mayRetry={mayRetry}
                    />
                  ))}
                </Stack>
                <More of={letters} />
              </>
            );
          }}
        </Shown>
      </Stack>
    </Page>
  );
}

function changed(before: ReadonlySet<string>, id: string, isIn: boolean): ReadonlySet<string> {
  const next = new Set(before);
  if (isIn) next.add(id);
  else next.delete(id);
  return next;
}

interface Retried {
  done: number;
  left: string[];
  /** Of the first that was left. */
  fault?: unknown;
}

/** One after the other. One that is refused keeps no other from its turn; where nobody answers, the rest is left. */
async function retried(ids: string[]): Promise<Retried> {
  const all: Retried = { done: 0, left: [] };
  for (const [place, id] of ids.entries()) {
    try {
      await http.POST("/api/dead-letters/{dead_letter_id}/retry", {
        params: { path: { dead_letter_id: id } },
        body: {},
      });
      all.done += 1;
    } catch (fault) {
      all.fault ??= fault;
      if (!(fault instanceof Problem) || !OF_ONE_LETTER.has(fault.status))
        return { ...all, left: [...all.left, ...ids.slice(place)] };
      all.left.push(id);
    }
  }
  return all;
}

function tell({ done, left, fault }: Retried): void {
  if (done > 0)
    say("What fails again comes back here.", done === 1 ? "Taken up again" : `${count(done)} taken up again`);
  if (left.length > 0) sayProblem(fault, `${count(left.length)} not taken up`);
}

function GoodNews() {
  return (
    <Empty
      title="No dead letters: good news"
      action={
        <Button component={Link} to="/events" variant="default">
          See what came in
        </Button>
      }
    >
      Every message could be handled. One that cannot be is put aside here with its reason, and can be retried
      once the reason is gone.
    </Empty>
  );
}
