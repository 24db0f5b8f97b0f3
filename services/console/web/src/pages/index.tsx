/* Every view and its address. */
import { lazy } from "react";
import { Route, Routes } from "react-router";
import { isUnknown } from "../api/client";
import { SessionContext, useSessionQuery } from "../shell/session";
import { Shell } from "../shell/Shell";
import { SignIn } from "../shell/SignIn";
import { Failed, Loading } from "../ui/Said";
import { NotFound } from "./NotFound";

const Overview = lazy(() => import("./overview/Overview"));
const Workflows = lazy(() => import("./workflows/Workflows"));
const Workflow = lazy(() => import("./workflow/Workflow"));
const Designer = lazy(() => import("./designer/Designer"));
const Trigger = lazy(() => import("./triggers/Trigger"));
const Triggers = lazy(() => import("./triggers/Triggers"));
const Runs = lazy(() => import("./runs/Runs"));
const Run = lazy(() => import("./run/Run"));
const Approvals = lazy(() => import("./approvals/Approvals"));
const Events = lazy(() => import("./events/Events"));
const DeadLetters = lazy(() => import("./dead-letters/DeadLetters"));
const Templates = lazy(() => import("./templates/Templates"));
const Audit = lazy(() => import("./audit/Audit"));
const People = lazy(() => import("./people/People"));

export function Pages() {
  const session = useSessionQuery();
  if (isUnknown(session.error)) return <SignIn />;
  if (session.data === undefined) {
    if (session.isPending) return <Loading />;
    return <Failed error={session.error} onRetry={() => void session.refetch()} />;
  }
  return (
    <SessionContext value={session.data}>
      <Routes>
        <Route element={<Shell />}>
          <Route index element={<Overview />} />
          <Route path="workflows" element={<Workflows />} />
          <Route path="workflows/new" element={<Designer />} />
          <Route path="workflows/:workflowId/edit" element={<Designer />} />
          <Route path="workflows/:workflowId/triggers/:triggerId" element={<Trigger />} />
          <Route path="workflows/:workflowId/:tab?" element={<Workflow />} />
          <Route path="triggers" element={<Triggers />} />
          <Route path="runs" element={<Runs />} />
          <Route path="runs/:runId/:tab?" element={<Run />} />
          <Route path="approvals" element={<Approvals />} />
          <Route path="events/:eventId?" element={<Events />} />
          <Route path="dead-letters" element={<DeadLetters />} />
          <Route path="templates" element={<Templates />} />
          <Route path="audit" element={<Audit />} />
          <Route path="people" element={<People />} />
          <Route path="*" element={<NotFound />} />
        </Route>
      </Routes>
    </SessionContext>
  );
}
