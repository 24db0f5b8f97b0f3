import { SegmentedControl, Stack } from "@mantine/core";
import { useMemo } from "react";
import { api } from "../../api/client";
import { paced, useLive } from "../../api/live";
import { byCursor, PAGE_SIZE } from "../../api/pages";
import { Page } from "../../ui/Page";
import { Empty, Shown } from "../../ui/Said";
import { useFilters } from "../../ui/useFilters";
import { Decided } from "./Decided";
import { OpenApproval } from "./OpenApproval";
import { moveInList } from "../../shell/keys";
import { More } from "../../ui/More";

const REFRESH_MS = 500;
const STREAM =
  "/api/stream?types=ApprovalDecided,NodeWaiting,NodeCompleted,NodeFailed,NodeCancelled,RunCancelled";
const ENDED = ["approved", "rejected", "expired", "cancelled"] as const;

/** What waits for somebody's yes or no, and what became of what did. */
export default function Approvals() {
  const [filter, setFilter] = useFilters();
  const status = ENDED.find((one) => one === filter("status")) ?? "all";
  const ofRun = filter("run_id");
  const ofWorkflow = filter("workflow_id");
  const only = {
    ...(ofRun === "" ? {} : { run_id: ofRun }),
    ...(ofWorkflow === "" ? {} : { workflow_id: ofWorkflow }),
  };
  const open = api.useInfiniteQuery(
    "get",
    "/api/approvals",
    { params: { query: { limit: PAGE_SIZE, status: "open", ...only } } },
    byCursor,
  );
  const ended = api.useInfiniteQuery(
    "get",
    "/api/approvals",
    { params: { query: { limit: PAGE_SIZE, status, ...only } } },
    byCursor,
  );
  const [refetchOpen, refetchEnded] = [open.refetch, ended.refetch];
  const refresh = useMemo(
    () => paced(() => Promise.all([refetchOpen(), refetchEnded()]), REFRESH_MS),
    [refetchOpen, refetchEnded],
  );
  useLive(STREAM, refresh);
  return (
    <Page title="Approvals">
      <Stack gap="lg">
        <Shown of={open}>
          {({ pages }) => {
            const items = pages.flatMap((page) => page.items);
            return items.length === 0 ? (
              <Empty title="Nothing waits for you">
                When a run comes to an approval, it is asked for here. Add an Approval node to a workflow to
                have one.
              </Empty>
            ) : (
              // eslint-disable-next-line jsx-a11y/no-static-element-interactions -- arrows move between the buttons inside
              <div onKeyDown={moveInList}>
                <Stack gap="sm">
                  {items.map((approval) => (
                    <OpenApproval key={`${approval.id} ${approval.position}`} approval={approval} />
                  ))}
                  <More of={open} />
                </Stack>
              </div>
            );
          }}
        </Shown>
        <Decided
          of={ended}
          filter={
            <SegmentedControl
              aria-label="Which decided ones"
              size="xs"
              data={[{ value: "all", label: "All" }, ...ENDED.map((value) => ({ value, label: value }))]}
              value={status}
              onChange={(value) => setFilter({ status: value === "all" ? null : value })}
            />
          }
        />
      </Stack>
    </Page>
  );
}
