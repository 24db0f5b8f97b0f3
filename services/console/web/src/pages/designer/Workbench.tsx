/* The designer at work on one definition. */
import "./designer.css";
import { Anchor, Text } from "@mantine/core";
import { useCallbackRef } from "@mantine/hooks";
import { ReactFlowProvider } from "@xyflow/react";
import { useState } from "react";
import { useLocation } from "react-router";
import { api } from "../../api/client";
import { layOutBeside } from "../../graph/place";
import { useMay } from "../../shell/session";
import { Page } from "../../ui/Page";
import { SaveAsTemplate } from "../templates/SaveAsTemplate";
import { Drawing, useDrawnPlaces } from "./canvas/Drawing";
import { useShow } from "./canvas/useShow";
import { Conflict } from "./Conflict";
import { FindingList } from "./FindingList";
import { Library } from "./Library";
import { added } from "./model/adding";
import { fieldsOf, listOf, textOf, type Graph } from "./model/definition";
import { definitionOf, isDirty, NOTHING, type Design } from "./model/design";
import { removeLinks } from "./model/edges";
import { graphAt, linksOf } from "./model/graphs";
import type { Snapshot } from "./model/history";
import { moveNodes, removeNodes } from "./model/nodes";
import { Panel } from "./panel/Panel";
import { FromTemplate } from "./FromTemplate";
import { Toolbar } from "./Toolbar";
import { TrialStrip } from "./trial/TrialStrip";
import { TryIt } from "./trial/TryIt";
import { useTrial } from "./trial/useTrial";
import { useClipboard } from "./useClipboard";
import { DesignContext, useDesignState, useShared, type Deeds } from "./useDesign";
import { dropDraft, useDraft } from "./useDraft";
import { useKeys } from "./useKeys";
import { useLeaving } from "./useLeaving";
import { useSaving } from "./useSaving";
import { useValidation, type Opinion } from "./useValidation";
import { YamlPane } from "./YamlPane";

interface WorkbenchProps {
  snapshot: Snapshot;
  saved: Design["saved"];
  /** Under which it is kept as a draft. */
  draftName: string;
  /** It began with a draft: said, and can be dropped. */
  onDropDraft: (() => void) | null;
  /** The newest version that the server told of. */
  newest: number | null;
  onCreated: (id: string) => void;
  onTemplate: ((id: string) => void) | null;
}

const EMPTY: Graph = { nodes: [], edges: [] };
const SECRETS_MAX = 500;
/** The canvas has its new size and nodes by then. */
const SHOWN_AFTER_MS = 60;

export function Workbench(props: WorkbenchProps) {
  return (
    <ReactFlowProvider>
      <Bench {...props} />
    </ReactFlowProvider>
  );
}

function Bench(props: WorkbenchProps) {
  const { design, deeds } = useDesignState(props.snapshot, props.saved);
  const definition = definitionOf(design);
  const opinion = useValidation(definition);
  const mayEdit = useMay("editor");
  const secrets = useSecretNames(mayEdit);
  const shared = useShared(design, deeds, opinion.found, secrets);
  return (
    <DesignContext value={shared}>
      <Parts {...props} design={design} deeds={deeds} opinion={opinion} mayEdit={mayEdit} />
    </DesignContext>
  );
}

function useSecretNames(mayEdit: boolean): readonly string[] {
  const query = api.useQuery(
    "get",
    "/api/secrets",
    { params: { query: { limit: SECRETS_MAX } } },
    { enabled: mayEdit, select: ({ items }) => items.map(({ name }) => name) },
  );
  return query.data ?? NO_NAMES;
}

const NO_NAMES: readonly string[] = [];

type PartsProps = WorkbenchProps & { design: Design; deeds: Deeds; opinion: Opinion; mayEdit: boolean };
type Shown = "try" | "template" | "as-template" | null;

function Parts(props: PartsProps) {
  const { design, deeds, opinion, mayEdit } = props;
  const { act, edit, select } = deeds;
  const definition = definitionOf(design);
  const { scope, selection, saved, history } = design;
  const graph = graphAt(definition, scope) ?? EMPTY;
  const places = useDrawnPlaces(graph);
  const [isYamlShown, setYamlShown] = useState(false);
  const [areFindingsShown, setFindingsShown] = useState(false);
  const [shown, setShown] = useState<Shown>(null);
  const trial = useTrial();
  const saving = useSaving(design, deeds, props.onCreated);
  const execute = api.useMutation("post", "/api/workflows/{workflow_id}/execute");
  const show = useShow();
  const mayRun = useMay("operator");
  const isUnsaved =
    isDirty(design) && (saved !== null || history.past.length > 0 || props.onDropDraft !== null);
  useDraft(props.draftName, design, isUnsaved);
  useClipboard();
  const leaving = useLeaving(isUnsaved, useLocation().pathname);
  const showAgain = (nodeId: string | null) => setTimeout(() => show(nodeId), SHOWN_AFTER_MS);
  const layOut = () => {
    const shape = { nodes: graph.nodes.map(({ id }) => ({ id })), edges: linksOf(graph) };
    void layOutBeside(shape).then((placed) => {
      edit((before) => moveNodes(before, scope, new Map(placed.map((one) => [one.id, one]))));
      showAgain(null);
    });
  };
  const toggleYaml = () => {
    setYamlShown(!isYamlShown);
    showAgain(null);
  };
  const add = useCallbackRef((type: string) => {
    const [after = null, ...more] = selection.nodes;
    const got = added(definition, scope, type, places ?? new Map(), more.length === 0 ? after : null, null);
    edit(() => got.definition, undefined, { nodes: [got.id], links: [] });
    showAgain(got.id);
  });
  useKeys({
    undo: () => act({ do: "undo" }),
    redo: () => act({ do: "redo" }),
    remove: () =>
      edit(
        (before) => removeNodes(removeLinks(before, scope, selection.links), scope, selection.nodes),
        undefined,
        NOTHING,
      ),
    selectAll: () => select({ nodes: graph.nodes.map(({ id }) => id), links: [] }),
    unselect: () => select(NOTHING),
    save: () => {
      if (mayEdit) void saving.save();
    },
  });
  const run = async (input: unknown) => {
    if (!(await saving.save())) return;
    const params = { path: { workflow_id: textOf(definition["id"]) } };
    execute.mutate(
      { params, body: { input_data: input } },
      {
        onSuccess: ({ run_id }) => {
          trial.watch(run_id);
          setShown(null);
          act({ do: "open", scope: [] });
        },
      },
    );
  };
  return (
    <Page
      title={textOf(definition["name"]) || "New workflow"}
      path={pathOf(saved === null ? null : textOf(definition["id"]), textOf(definition["name"]))}
      aside={
        <Standing
          saved={saved}
          isUnsaved={isUnsaved}
          newest={props.newest}
          onDropDraft={props.onDropDraft}
          mayEdit={mayEdit}
        />
      }
      actions={
        <Toolbar
          canUndo={history.past.length > 0}
          canRedo={history.future.length > 0}
          onUndo={() => act({ do: "undo" })}
          onRedo={() => act({ do: "redo" })}
          onLayOut={layOut}
          isYamlShown={isYamlShown}
          onYaml={toggleYaml}
          opinion={opinion}
          onFindings={() => setFindingsShown(!areFindingsShown)}
          mayRun={mayRun && (mayEdit || !isUnsaved)}
          onTry={() => setShown("try")}
          mayEdit={mayEdit}
          isUnsaved={isUnsaved || saved === null}
          isSaving={saving.isBusy}
          onSave={() => void saving.save()}
          onFromTemplate={props.onTemplate === null ? null : () => setShown("template")}
          onAsTemplate={() => setShown("as-template")}
        />
      }
      fills
    >
      <div className="ff-designer" data-yaml={isYamlShown} data-testid="designer">
        <Library onAdd={add} />
        <div className="ff-designer-middle">
          <TrialStrip trial={trial} />
          <Drawing
            places={places}
            report={opinion.report}
            standings={trial.standings}
            onTemplate={props.onTemplate === null ? null : () => setShown("template")}
          />
          {areFindingsShown ? <FindingList onClose={() => setFindingsShown(false)} /> : null}
        </div>
        {isYamlShown ? <YamlPane design={design} /> : null}
        <aside className="ff-designer-panel" aria-label="Settings" data-testid="panel">
          <Panel />
        </aside>
      </div>
      {leaving}
      <Conflict
        clash={saving.clash}
        base={saved?.definition ?? null}
        mine={definition}
        isBusy={saving.isBusy}
        onSaveOver={() => void saving.saveOver()}
        onReload={() => {
          dropDraft(props.draftName);
          saving.dropMine();
        }}
        onClose={saving.forget}
      />
      {shown === "try" ? (
        <TryIt
          definition={definition}
          savesAs={!isDirty(design) ? null : savesAs(saved)}
          isFaulty={opinion.found.some(({ isError }) => isError) && isDirty(design)}
          isBusy={saving.isBusy || execute.isPending}
          onRun={(input) => void run(input)}
          onClose={() => setShown(null)}
        />
      ) : null}
      {shown === "template" && props.onTemplate !== null ? (
        <FromTemplate onChoose={props.onTemplate} onClose={() => setShown(null)} />
      ) : null}
      {shown === "as-template" ? (
        <SaveAsTemplate
          start={{ name: textOf(definition["name"]), description: textOf(definition["description"]) }}
          of={{ definition }}
          variables={listOf(definition["variables"]).map((one) => textOf(fieldsOf(one)["name"]))}
          onClose={() => setShown(null)}
        />
      ) : null}
    </Page>
  );
}

function pathOf(id: string | null, name: string): [string, string][] {
  return id === null
    ? [["Workflows", "/workflows"]]
    : [
        ["Workflows", "/workflows"],
        [name || id, `/workflows/${id}`],
      ];
}

function savesAs(saved: Design["saved"]): string {
  return saved === null ? "it is saved first" : `it is saved as version ${saved.version + 1} first`;
}

/** Which version it is, and whether it is more than that. */
function Standing(props: {
  saved: Design["saved"];
  isUnsaved: boolean;
  newest: number | null;
  onDropDraft: (() => void) | null;
  mayEdit: boolean;
}) {
  const { saved, isUnsaved, newest, onDropDraft, mayEdit } = props;
  const isBehind = saved !== null && newest !== null && newest > saved.version;
  return (
    <Text size="sm" c="dimmed" component="span" data-testid="standing">
      {saved === null ? "not saved yet" : `version ${saved.version}`}
      {saved !== null && isUnsaved ? " · changed" : ""}
      {mayEdit ? "" : " · saving takes the role of an editor"}
      {isBehind ? (
        <b style={{ color: "var(--ff-waiting)" }}> · version {newest} was saved meanwhile by somebody else</b>
      ) : null}
      {onDropDraft === null || !isUnsaved ? null : (
        <>
          {" · your draft of this tab · "}
          <Anchor component="button" type="button" size="sm" onClick={onDropDraft}>
            Drop it
          </Anchor>
        </>
      )}
    </Text>
  );
}
