import { Tooltip } from "@mantine/core";
import { useEffect, useState } from "react";
import { ago, local, utc } from "./times";

/** A clock that all of a page shares; it ticks once a second. */
export function useNow(isOn = true): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (!isOn) return;
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, [isOn]);
  return now;
}

/** A time in the viewer's zone, UTC on hover; `relative` for how long ago. */
export function When({ at, relative = false }: { at: string | null | undefined; relative?: boolean }) {
  const now = useNow(relative);
  if (at === null || at === undefined) return <span>–</span>;
  return (
    <Tooltip label={relative ? `${local(at)} · ${utc(at)}` : utc(at)}>
      <time dateTime={at} className="ff-number" style={{ whiteSpace: "nowrap" }}>
        {relative ? ago(at, now) : local(at)}
      </time>
    </Tooltip>
  );
}
