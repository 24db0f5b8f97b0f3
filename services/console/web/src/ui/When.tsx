import { Tooltip } from "@mantine/core";
import { useSyncExternalStore } from "react";
import { ago, local, utc } from "./times";

const SECOND_MS = 1_000;
const listeners = new Set<() => void>();
let clock = 0;

/** One clock for all of a page, which goes while somebody looks at it. */
function eachSecond(listener: () => void): () => void {
  listeners.add(listener);
  if (listeners.size === 1) {
    clock = window.setInterval(() => listeners.forEach((one) => one()), SECOND_MS);
  }
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) clearInterval(clock);
  };
}

const never = () => () => undefined;

/** The time to the second, or to a larger step: what shows it is drawn anew when that has passed. */
export function useNow(isOn = true, stepMs = SECOND_MS): number {
  return useSyncExternalStore(isOn ? eachSecond : never, () => Math.floor(Date.now() / stepMs) * stepMs);
}

interface WhenProps {
  at: string | null | undefined;
  relative?: boolean;
}

/** A time in the viewer's zone, UTC on hover; `relative` for how long ago, which is drawn anew when the words change. */
export function When({ at, relative = false }: WhenProps) {
  const words = useSyncExternalStore(relative ? eachSecond : never, () =>
    at === null || at === undefined ? "–" : relative ? ago(at) : local(at),
  );
  if (at === null || at === undefined) return <span>{words}</span>;
  return (
    <Tooltip label={relative ? `${local(at)} · ${utc(at)}` : utc(at)}>
      <time dateTime={at} className="ff-number" style={{ whiteSpace: "nowrap" }}>
        {words}
      </time>
    </Tooltip>
  );
}
