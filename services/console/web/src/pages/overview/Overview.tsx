/* What runs, what failed, what comes, and whether all is well. */
import { Button, SimpleGrid, Stack } from "@mantine/core";
import { IconPlus } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { useMemo } from "react";
import { Link } from "react-router";
import { api } from "../../api/client";
import { paced, useLive } from "../../api/live";
import { useMay } from "../../shell/session";
import { Page } from "../../ui/Page";
import { Shown } from "../../ui/Said";
import { useFilters } from "../../ui/useFilters";
import { Health } from "./Health";
import { Due, Failed, Running, Waiting } from "./Lists";
import { Numbers } from "./Numbers";
import { Usage } from "./Usage";
import { Welcome } from "./Welcome";
import { stageOf } from "./welcome";

const LIVE =
  "/api/stream?types=RunStarted,RunCompleted,RunPartiallyCompleted,RunFailed,RunCancelled,RunPaused,RunResumed,NodeWaiting,ApprovalDecided,MessageQuarantined,WorkflowCreated,WorkflowUpdated,WorkflowArchived";
const REFRESH_MS = 500;
const SYSTEM_REFRESH_MS = 10_000;
const SYSTEM_PAUSE_MS = 3_000;

export default function Overview() {
  const mayEdit = useMay("editor");
  const stats = api.useQuery("get", "/api/stats");
  const [filter] = useFilters();
  /** The welcome stays while something is made of one of its templates. */
  const isChoosing = filter("use") !== "";
  const stage = stats.data === undefined ? null : stageOf(stats.data.workflows, stats.data.runs);
  return (
    <Page
      title="Overview"
      actions={
        mayEdit ? (
          <Button
            component={Link}
            to="/workflows/new"
            variant={stage === "used" ? "filled" : "default"}
            leftSection={<IconPlus size={16} aria-hidden />}
          >
            New workflow
          </Button>
        ) : null
      }
    >
      <Shown of={stats}>
        {() => (stage === "used" && !isChoosing ? <All /> : <First isUnrun={stage === "unrun"} />)}
      </Shown>
    </Page>
  );
}

/** `/api/system` asks every service, and is asked now and then only. */
const HERE = ["/api/stats", "/api/runs", "/api/approvals", "/api/upcoming"];

function isOfHere({ queryKey }: { queryKey: readonly unknown[] }): boolean {
  return HERE.some((path) => queryKey.includes(path));
}

/** The welcome goes by itself once something has run. */
function First({ isUnrun }: { isUnrun: boolean }) {
  const stats = api.useQuery("get", "/api/stats");
  const { refetch } = stats;
  const refresh = useMemo(() => paced(() => refetch(), REFRESH_MS), [refetch]);
  useLive("/api/stream?types=WorkflowCreated,RunStarted", refresh, refresh);
  return <Welcome isUnrun={isUnrun} />;
}

function All() {
  const lists = useLists();
  const client = useQueryClient();
  const refresh = useMemo(
    () => paced(() => client.refetchQueries({ type: "active", predicate: isOfHere }), REFRESH_MS),
    [client],
  );
  const { refetch: askServices } = lists[5];
  const refreshSystem = useMemo(() => paced(() => askServices(), SYSTEM_PAUSE_MS), [askServices]);
  const onEvents = () => {
    refresh();
    refreshSystem();
  };
  useLive(LIVE, onEvents, onEvents);
  const [stats, running, failed, waiting, due, system] = lists;
  return (
    <Stack gap="md">
      <Numbers stats={stats} system={system} due={due} failed={failed} />
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md">
        <Running of={running} />
        <Failed of={failed} />
        <Due of={due} />
        <Waiting of={waiting} />
      </SimpleGrid>
      <Usage />
      <Health of={system} />
    </Stack>
  );
}

export const SHOWN_COUNT = 6;

function useLists() {
  const stats = api.useQuery("get", "/api/stats");
  const running = api.useQuery("get", "/api/runs", {
    params: { query: { status: "running", limit: SHOWN_COUNT } },
  });
  const failed = api.useQuery("get", "/api/runs", {
    params: { query: { status: "failed", limit: SHOWN_COUNT } },
  });
  const waiting = api.useQuery("get", "/api/approvals", {
    params: { query: { status: "open", limit: SHOWN_COUNT } },
  });
  const due = api.useQuery("get", "/api/upcoming", { params: { query: { limit: 50 } } });
  const system = api.useQuery("get", "/api/system", {}, { refetchInterval: SYSTEM_REFRESH_MS });
  return [stats, running, failed, waiting, due, system] as const;
}

export type Lists = ReturnType<typeof useLists>;
