/* A trigger is added to a workflow, or one that is there is changed. */
import { useState } from "react";
import { api, Problem } from "../api/client";
import { fieldsOf } from "../api/narrow";
import { say } from "../ui/say";
import { blank, patchOf, readTrigger, written, type Trigger } from "./trigger";
import { named } from "./TriggerForm";
import { TriggerModal } from "./TriggerModal";

interface TriggerDialogProps {
  workflowId: string;
  /** As it is in the definition; without it a new one is made. */
  definition?: unknown;
  takenIds: string[];
  onClose: () => void;
  onSaved?: (triggerId: string) => void;
}

/** `{isOpen ? <TriggerDialog … /> : null}`: it begins anew each time. */
export function TriggerDialog(props: TriggerDialogProps) {
  const { workflowId, definition, takenIds, onClose, onSaved } = props;
  const isNew = definition === undefined;
  const [trigger, setTrigger] = useState<Trigger>(() => (isNew ? blank("event") : readTrigger(definition)));
  const saving = useSaving(workflowId);
  const save = async () => {
    const whole = isNew ? named(trigger, takenIds) : trigger;
    setTrigger(whole);
    const isSaved = await saving.save(whole, isNew ? null : definition);
    if (!isSaved) return;
    say(
      isNew ? "It is in force from now on." : "The change is in force from now on.",
      `Trigger ${whole.id} saved`,
    );
    onSaved?.(whole.id);
    onClose();
  };
  return (
    <TriggerModal
      value={trigger}
      onChange={setTrigger}
      isNew={isNew}
      takenIds={takenIds}
      workflowId={workflowId}
      errors={saving.errors}
      onClose={onClose}
      onSubmit={() => void save()}
      button="Save"
      isBusy={saving.isBusy}
    />
  );
}

/** Adds a trigger, or sends what changed of one. */
export function useSaving(workflowId: string) {
  const quiet = { meta: { says: false } };
  const add = api.useMutation("post", "/api/workflows/{workflow_id}/triggers", quiet);
  const change = api.useMutation("patch", "/api/workflows/{workflow_id}/triggers/{trigger_id}", quiet);
  const [errors, setErrors] = useState<Problem["errors"]>([]);
  const save = async (trigger: Trigger, before: unknown): Promise<boolean> => {
    setErrors([]);
    try {
      if (before === null) {
        const body = written(trigger) as unknown as Trigger;
        await add.mutateAsync({ params: { path: { workflow_id: workflowId } }, body });
        return true;
      }
      const patch = patchOf(written(readTrigger(before)), written(trigger));
      if (patch === null) return true;
      const path = { workflow_id: workflowId, trigger_id: String(fieldsOf(before)["id"]) };
      await change.mutateAsync({ params: { path }, body: patch });
      return true;
    } catch (error) {
      const found = error instanceof Problem ? error.errors : [];
      const message = error instanceof Error ? error.message : String(error);
      setErrors(found.length > 0 ? found : [{ message }]);
      return false;
    }
  };
  return { save, errors, isBusy: add.isPending || change.isPending };
}
