/* Whether what is seen is live: the worst of the streams that are open. */
import { useSyncExternalStore } from "react";

export type Line = "opening" | "live" | "lost";
const lines = new Map<symbol, Line>();
const listeners = new Set<() => void>();

export function setLine(key: symbol, line: Line | null): void {
  if (lines.get(key) === (line ?? undefined)) return;
  if (line === null) lines.delete(key);
  else lines.set(key, line);
  listeners.forEach((listener) => listener());
}

function worst(): Line | "none" {
  const all = [...lines.values()];
  return all.find((line) => line === "lost") ?? all.find((line) => line === "opening") ?? all[0] ?? "none";
}

export function useLine(): Line | "none" {
  return useSyncExternalStore((listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, worst);
}
