/* Drawing workflows: `/workflows/new`, `/workflows/new?template=<id>`, `/workflows/<id>/edit`. */
import { useMemo, useState } from "react";
import { useLocation, useNavigate, useParams, useSearchParams } from "react-router";
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

/** What was begun as new and then saved: it goes on under its own address, with its history. */
interface Created {
  id: string;
  template: string | null;
  serial: number;
  /** The place where that was: until the address follows, one is still there. */
  from: string;
}

export default function Designer() {
  const { workflowId = null } = useParams();
  const [search] = useSearchParams();
  const [created, setCreated] = useState<Created | null>(null);
  const { key: here } = useLocation();
  const goesOn = created !== null && (workflowId === created.id || created.from === here);
  if (workflowId !== null && !goesOn) return <Stored key={workflowId} id={workflowId} />;
  const serial = goesOn ? created.serial : (created?.serial ?? 0) + 1;
  const template = goesOn ? created.template : search.get("template");
  const begin = {
    created: goesOn ? created.id : null,
    onCreated: (id: string) => setCreated({ id, template, serial, from: here }),
  };
  const key = `${serial} ${template ?? ""}`;
  return template === null ? <New key={key} {...begin} /> : <OfTemplate key={key} {...begin} id={template} />;
}

function begun(definition: Definition): Snapshot {
  return { definition, source: { text: print(definition), definition } };
}

function useTemplateChoice(): (id: string) => void {
  const go = useNavigate();
  return (id) => void go(`/workflows/new?template=${encodeURIComponent(id)}`, { replace: true });
}

interface BeginProps {
  created: string | null;
  onCreated: (id: string) => void;
}

/** To the address of what was just saved for the first time. */
function useCreation(onCreated: (id: string) => void): (id: string) => void {
  const go = useNavigate();
  return (id) => {
    dropDraft("new");
    onCreated(id);
    void go(`/workflows/${id}/edit`, { replace: true });
  };
}

function New({ onCreated, created }: BeginProps) {
  const onTemplate = useTemplateChoice();
  const creation = useCreation(onCreated);
  const [count, setCount] = useState(0);
  const draft = useMemo(() => (count === 0 ? readDraft("new") : null), [count]);
  const start = useMemo(() => begun(NEW), []);
  const drop = () => {
    dropDraft("new");
    setCount(count + 1);
  };
  return (
    <Workbench
      key={count}
      snapshot={draft?.snapshot ?? start}
      saved={null}
      draftName={created ?? "new"}
      onDropDraft={draft === null ? null : drop}
      newest={null}
      onCreated={creation}
      onTemplate={created === null ? onTemplate : null}
    />
  );
}

function OfTemplate({ id, onCreated, created }: BeginProps & { id: string }) {
  const onTemplate = useTemplateChoice();
  const creation = useCreation(onCreated);
  const template = api.useQuery("get", "/api/templates/{template_id}", {
    params: { path: { template_id: id } },
  });
  const [snapshot, setSnapshot] = useState<Snapshot | null>(null);
  if (snapshot === null && template.data !== undefined) {
    setSnapshot(ofTemplate(template.data.definition, template.data.description));
  }
  if (snapshot === null) return <Waiting of={template} />;
  return (
    <Workbench
      snapshot={snapshot}
      saved={null}
      draftName={created ?? "new"}
      onDropDraft={null}
      newest={null}
      onCreated={creation}
      onTemplate={created === null ? onTemplate : null}
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
