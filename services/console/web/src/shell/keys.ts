import { useEffect, useRef } from "react";
import { places } from "./places";

const WITHIN_MS = 1_200;

/** `g` and then a page's letter goes there. */
export function useGoKeys(go: (to: string) => unknown): void {
  const latest = useRef(go);
  useEffect(() => {
    latest.current = go;
  });
  useEffect(() => {
    let pressedAt = 0;
    const pressed = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      if (event.key === "g") {
        pressedAt = Date.now();
        return;
      }
      const place = places.find(({ key }) => key === event.key);
      if (place !== undefined && Date.now() - pressedAt < WITHIN_MS) {
        event.preventDefault();
        void latest.current(place.to);
      }
      pressedAt = 0;
    };
    window.addEventListener("keydown", pressed);
    return () => window.removeEventListener("keydown", pressed);
  }, []);
}

export function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
  );
}

/** Where nothing has the focus, an arrow (or j) leads into the list of the page, to the first row in sight. */
export function useListKeys(): void {
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
      if (!["ArrowDown", "j"].includes(event.key) || hasFocus()) return;
      const rows = [...document.querySelectorAll<HTMLElement>("main [data-row]")];
      const row = rows.find((one) => one.getBoundingClientRect().top >= 0) ?? rows[0];
      if (row === undefined) return;
      event.preventDefault();
      enter(row);
    };
    window.addEventListener("keydown", pressed);
    return () => window.removeEventListener("keydown", pressed);
  }, []);
}

function hasFocus(): boolean {
  const focused = document.activeElement;
  return focused !== null && focused !== document.body && focused.id !== "main";
}

function enter(row: HTMLElement): void {
  (row.querySelector<HTMLElement>("a, button") ?? row).focus();
}

/** In a list: arrows (and j, k) move between rows, Enter opens the one that has the focus. Give it to the list's element. */
export function moveInList(event: React.KeyboardEvent<HTMLElement>): void {
  const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
  if (step === undefined || isTyping(event.target)) return;
  const rows = [...event.currentTarget.querySelectorAll<HTMLElement>("[data-row]")];
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  const next = rows[Math.max(0, Math.min(rows.length - 1, at + step))];
  if (next === undefined) return;
  event.preventDefault();
  enter(next);
}
