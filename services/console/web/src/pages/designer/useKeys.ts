/* What keys do while nobody types into a field. */
import { useEffect, useRef } from "react";
import { isTyping } from "../../shell/keys";

export interface KeyDeeds {
  undo: () => void;
  redo: () => void;
  remove: () => void;
  selectAll: () => void;
  unselect: () => void;
  save: () => void;
}

export function useKeys(deeds: KeyDeeds): void {
  const latest = useRef(deeds);
  useEffect(() => {
    latest.current = deeds;
  });
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      const name = deedOf(event);
      if (name === null || isElsewhere(event, name)) return;
      event.preventDefault();
      latest.current[name]();
    };
    window.addEventListener("keydown", pressed);
    return () => window.removeEventListener("keydown", pressed);
  }, []);
}

export function deedOf(
  event: Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "shiftKey">,
): keyof KeyDeeds | null {
  const key = event.key.toLowerCase();
  if (!event.ctrlKey && !event.metaKey) {
    if (key === "delete" || key === "backspace") return "remove";
    return key === "escape" ? "unselect" : null;
  }
  if (key === "z") return event.shiftKey ? "redo" : "undo";
  if (key === "y") return "redo";
  if (key === "a") return "selectAll";
  return key === "s" ? "save" : null;
}

/** Text fields have these keys for themselves, and so have dialogs; saving is for everywhere. */
function isElsewhere(event: KeyboardEvent, name: keyof KeyDeeds): boolean {
  if (event.defaultPrevented) return true;
  if (name === "save") return false;
  if (document.querySelector("[role=dialog]") !== null) return true;
  return isTyping(event.target);
}
