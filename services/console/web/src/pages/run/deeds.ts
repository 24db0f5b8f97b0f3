/* What can be done to a run as it stands, and by whom. The server decides; the page only does not tempt. */
export type Deed = "cancel" | "pause" | "resume" | "step" | "retry" | "fork" | "again";

const ALLOWED: Record<Deed, ReadonlySet<string>> = {
  cancel: new Set(["pending", "running", "paused"]),
  pause: new Set(["running"]),
  resume: new Set(["paused"]),
  step: new Set(["paused"]),
  retry: new Set(["failed", "cancelled", "partial"]),
  fork: new Set(["pending", "running", "paused", "completed", "failed", "cancelled", "partial"]),
  again: new Set(["completed", "failed", "cancelled", "partial"]),
};

export function deedsFor(status: string): Deed[] {
  return (Object.keys(ALLOWED) as Deed[]).filter((deed) => ALLOWED[deed].has(status));
}

/** A node may be decided by hand while its run goes on and it has not ended. */
export function isOpenToHands(runStatus: string, nodeStatus: string): boolean {
  return (
    (runStatus === "running" || runStatus === "paused") &&
    ["idle", "queued", "running", "waiting"].includes(nodeStatus)
  );
}

/** From a node an ended run may go on that got as far as it. */
export function isOpenToRetry(runStatus: string, nodeStatus: string): boolean {
  return ["completed", "failed", "cancelled", "partial"].includes(runStatus) && nodeStatus !== "skipped";
}
