/* Drawing workflows: `/workflows/new`, `/workflows/new?template=<id>`, `/workflows/<id>/edit`. */
import { useMemo, useState } from "react";
import { useNavigate, useParams, useSearchParams } from "react-router";
import { api } from "../../api/client";
import { Page } from "../../ui/Page";
import { Failed, Loading } from "../../ui/Said";
import { fieldsOf, NEW, textOf, type Definition } from "./model/definition";
import type { Design } from "./model/design";
import type { Snapshot } from "./model/history";
import { authored } from "./model/stored";
import { print } from "./text/print";
import { dropDraft, readDraft } from "./useDraft";
import { Workbench } from "./Workbench";

export default function Designer() {
  const { workflowId = null } = useParams();
  const [search] = useSearchParams();
  const template = search.get("template");
  /** What was begun as new and saved as this goes on here, with its history. */
  const [created, setCreated] = useState<string | null>(null);
  if (workflowId !== null && workflowId !== created) return <Stored key={workflowId} id={workflowId} />;
  const isNew = workflowId === null && created === null;
  if (template !== null && isNew) return <OfTemplate key={template} id={template} onCreated={setCreated} />;
  return (
    <New
      key={created === null || workflowId === created ? "new" : "again"}
      onCreated={setCreated}
      created={created}
    />
  );
}

function begun(definition: Definition): Snapshot {
  return { definition, source: { text: print(definition), definition } };
}

function useTemplateChoice(): (id: string) => void {
  const go = useNavigate();
  return (id) => void go(`/workflows/new?template=${encodeURIComponent(id)}`, { replace: true });
}

function New({ onCreated, created }: { onCreated: (id: string) => void; created: string | null }) {
  const go = useNavigate();
  const onTemplate = useTemplateChoice();
  const [count, setCount] = useState(0);
  const draft = useMemo(() => (count === 0 ? readDraft("new") : null), [count]);
  const start = useMemo(() => begun(NEW), []);
  return (
    <Workbench
      key={count}
      snapshot={draft?.snapshot ?? start}
      saved={null}
      draftName={created ?? "new"}
      onDropDraft={
        draft === null
          ? null
          : () => {
              dropDraft("new");
              setCount(count + 1);
            }
      }
      newest={null}
      onCreated={(id) => {
        dropDraft("new");
        onCreated(id);
        void go(`/workflows/${id}/edit`, { replace: true });
      }}
      onTemplate={created === null ? onTemplate : null}
    />
  );
}

function OfTemplate({ id, onCreated }: { id: string; onCreated: (id: string) => void }) {
  const go = useNavigate();
  const onTemplate = useTemplateChoice();
  const template = api.useQuery("get", "/api/templates/{template_id}", {
    params: { path: { template_id: id } },
  });
  const snapshot = useMemo(
    () =>
      template.data === undefined ? null : ofTemplate(template.data.definition, template.data.description),
    [template.data],
  );
  if (snapshot === null) return <Waiting of={template} />;
  return (
    <Workbench
      snapshot={snapshot}
      saved={null}
      draftName="new"
      onDropDraft={null}
      newest={null}
      onCreated={(made) => {
        dropDraft("new");
        onCreated(made);
        void go(`/workflows/${made}/edit`, { replace: true });
      }}
      onTemplate={onTemplate}
    />
  );
}

function ofTemplate(definition: unknown, description: string): Snapshot {
  const made = authored(fieldsOf(definition));
  return begun(textOf(made["description"]) === "" && description !== "" ? { ...made, description } : made);
}

function Stored({ id }: { id: string }) {
  const workflow = api.useQuery(
    "get",
    "/api/workflows/{workflow_id}",
    { params: { path: { workflow_id: id } } },
    { refetchOnMount: "always" },
  );
  const [dropped, setDropped] = useState(0);
  const [first, setFirst] = useState<{
    saved: NonNullable<Design["saved"]>;
    draft: ReturnType<typeof readDraft>;
  } | null>(null);
  if (first === null && workflow.data !== undefined && workflow.isFetchedAfterMount) {
    const saved = { definition: authored(fieldsOf(workflow.data)), version: workflow.data.version };
    setFirst({ saved, draft: readDraft(id) });
  }
  if (first === null) return <Waiting of={workflow} />;
  const draft = dropped === 0 ? first.draft : null;
  const { saved } = first;
  return (
    <Workbench
      key={dropped}
      snapshot={draft?.snapshot ?? begun(saved.definition)}
      saved={draft === null ? saved : { ...saved, version: draft.version ?? saved.version }}
      draftName={id}
      onDropDraft={
        draft === null
          ? null
          : () => {
              dropDraft(id);
              setDropped(dropped + 1);
            }
      }
      newest={workflow.data?.version ?? null}
      onCreated={() => undefined}
      onTemplate={null}
    />
  );
}

function Waiting({
  of,
}: {
  of: { isPending: boolean; isFetching: boolean; error: unknown; refetch: () => unknown };
}) {
  return (
    <Page title="Designer" path={[["Workflows", "/workflows"]]}>
      {of.isPending || of.isFetching ? (
        <Loading />
      ) : (
        <Failed error={of.error} onRetry={() => void of.refetch()} />
      )}
    </Page>
  );
}
