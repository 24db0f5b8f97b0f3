/* One run: as it goes, and as it was at any moment. */
import "./run.css";
import { Button, Tabs } from "@mantine/core";
import { lazy, Suspense, useState, type ComponentType } from "react";
import { Link, useLocation, useNavigate, useParams } from "react-router";
import { isMissing } from "../../api/client";
import { useMay } from "../../shell/session";
import { Copy } from "../../ui/Copy";
import { Page } from "../../ui/Page";
import { Empty, Failed, Loading } from "../../ui/Said";
import { Status } from "../../ui/Status";
import { TabList } from "../../ui/TabList";
import { Actions } from "./Actions";
import { Fault } from "./Fault";
import { ForkDialog } from "./ForkDialog";
import { GraphTab } from "./GraphTab";
import { Marks, ProgressLine, RunFacts } from "./Header";
import { shortId } from "../../ui/shortId";
import type { SeenRun } from "./seen";
import { TimeSlider } from "./TimeSlider";
import { useChosen } from "./useChosen";
import { useTravel } from "./useMoment";
import { useRun, useShape, useStateAt } from "./useRun";
import { Waits } from "./Waits";

type OneTab = [string, string, ComponentType<SeenRun>];
const GRAPH: OneTab = ["graph", "Graph", GraphTab];
const TABS: OneTab[] = [
  GRAPH,
  ["timeline", "Timeline", lazy(() => import("./TimelineTab"))],
  ["logs", "Logs", lazy(() => import("./LogsTab"))],
  ["events", "Events", lazy(() => import("./EventsTab"))],
  ["data", "Data", lazy(() => import("./DataTab"))],
  ["causes", "Causes", lazy(() => import("./CausesTab"))],
  ["diff", "Diff", lazy(() => import("./DiffTab"))],
];

export default function Run() {
  const { runId = "" } = useParams();
  return <OneRun key={runId} runId={runId} />;
}

function OneRun({ runId }: { runId: string }) {
  const { query, moments, want } = useRun(runId);
  const now = query.data;
  const travel = useTravel(runId, moments, want);
  const past = useStateAt(runId, travel.at);
  const chosen = useChosen();
  const [isForking, setForking] = useState(false);
  const may = useMay("operator");
  /* until the first past moment has come, the present stays: what has the focus keeps it */
  const isThere = travel.at === null || past.data !== undefined;
  const run = travel.at !== null && past.data !== undefined ? past.data : now;
  const shape = useShape(run);
  if (now === undefined || run === undefined || (!isThere && past.error !== null)) {
    const { error, refetch } = now === undefined ? query : past;
    return (
      <Page title={`Run ${shortId(runId)}`} path={[["Runs", "/runs"]]}>
        {error === null ? (
          <Loading what="Loading the run" />
        ) : now === undefined && isMissing(error) ? (
          <NoSuchRun runId={runId} />
        ) : (
          <Failed error={error} onRetry={() => void refetch()} />
        )}
        {travel.at === null || error === null ? null : (
          <Button ml="md" onClick={travel.toNow}>
            Back to now
          </Button>
        )}
      </Page>
    );
  }
  const isPast = travel.at !== null && isThere;
  const at = isPast ? travel.at : null;
  return (
    <Page
      title={`Run ${shortId(runId)}`}
      path={[
        ["Runs", "/runs"],
        [run.workflow_id, `/workflows/${run.workflow_id}`],
      ]}
      aside={
        <>
          <span data-testid="run-status" data-status={run.status}>
            <Status status={run.status} detail={isPast ? "then" : undefined} />
          </span>
          <Copy text={runId} label="Copy the whole id of the run" />
          <Marks run={run} />
        </>
      }
      actions={
        isPast ? (
          may ? (
            <Button size="compact-md" fz="sm" onClick={() => setForking(true)}>
              Fork from here
            </Button>
          ) : null
        ) : (
          <Actions run={now} onFork={() => setForking(true)} />
        )
      }
      fills
    >
      <div className="ff-run" data-testid="run" data-run-id={runId} data-at={at ?? "now"}>
        <RunFacts run={run} />
        <ProgressLine run={run} />
        <Waits run={run} onNode={(nodeId) => chosen.choose({ nodeId, instance: null, view: null })} />
        <Fault error={run.error} onNode={(nodeId) => chosen.choose({ nodeId, instance: null, view: null })} />
        <TimeSlider travel={travel} moments={moments} asOf={run.as_of} />
        {shape.data === undefined ? (
          shape.error === null ? (
            <Loading />
          ) : (
            <Failed error={shape.error} onRetry={() => void shape.refetch()} />
          )
        ) : (
          <RunTabs
            seen={{
              run,
              now,
              at,
              shape: shape.data,
              chosen,
              moments,
              want,
              toPosition: travel.toPosition,
            }}
          />
        )}
      </div>
      {isForking ? (
        <ForkDialog run={run} at={travel.at} shape={shape.data} onClose={() => setForking(false)} />
      ) : null}
    </Page>
  );
}

function NoSuchRun({ runId }: { runId: string }) {
  return (
    <Empty
      title="There is no such run"
      action={
        <Button component={Link} to="/runs" variant="default">
          To all runs
        </Button>
      }
    >
      No run has the id <code className="ff-mono">{runId}</code>. It may be mistyped or cut off, or of another
      installation.
    </Empty>
  );
}

function RunTabs({ seen }: { seen: SeenRun }) {
  const { tab: asked } = useParams();
  const { search } = useLocation();
  const go = useNavigate();
  const [tab, , Tab] = TABS.find(([name]) => name === asked) ?? GRAPH;
  return (
    <Tabs
      value={tab}
      onChange={(name) => {
        if (name !== null) void go(`/runs/${seen.run.run_id}${name === "graph" ? "" : `/${name}`}${search}`);
      }}
      keepMounted={false}
      style={{ display: "flex", flexDirection: "column", flex: 1, minHeight: 470 }}
    >
      <TabList shown={tab}>
        {TABS.map(([name, label]) => (
          <Tabs.Tab key={name} value={name} px="sm" py={6}>
            {label}
          </Tabs.Tab>
        ))}
      </TabList>
      <Tabs.Panel value={tab} className="ff-run-tab" pt={8}>
        <Suspense fallback={<Loading />}>
          <Tab {...seen} />
        </Suspense>
      </Tabs.Panel>
    </Tabs>
  );
}
