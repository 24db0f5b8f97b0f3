/* States, each with a sign of its own: colour is never the only one. */
import {
  IconAdjustmentsPause,
  IconAlertTriangle,
  IconBan,
  IconCheck,
  IconCircleDashed,
  IconClockHour4,
  IconHourglass,
  IconPlayerPause,
  IconPlayerPlayFilled,
  IconPlayerTrackNext,
  IconX,
  type Icon,
} from "@tabler/icons-react";

const signs: Record<string, Icon> = {
  idle: IconCircleDashed,
  pending: IconClockHour4,
  queued: IconClockHour4,
  running: IconPlayerPlayFilled,
  waiting: IconHourglass,
  paused: IconPlayerPause,
  completed: IconCheck,
  failed: IconX,
  cancelled: IconBan,
  skipped: IconPlayerTrackNext,
  partial: IconAlertTriangle,
  held: IconAdjustmentsPause,
};
const named: Record<string, string> = {
  pending: "queued",
  fired: "completed",
  not_matched: "idle",
  held: "queued",
  suppressed: "waiting",
  expired: "cancelled",
  active: "completed",
  draft: "waiting",
  archived: "idle",
  open: "failed",
  closed: "completed",
  half_open: "waiting",
  retried: "completed",
  pass: "completed",
  ok: "completed",
  approve: "completed",
  approved: "completed",
  rejected: "failed",
  reject: "failed",
};

/** The colour of a state, as a CSS value. */
export function colourOf(status: string): string {
  return `var(--ff-${named[status] ?? status}, var(--ff-idle))`;
}

export function StatusIcon({ status, size = 16 }: { status: string; size?: number }) {
  const Sign = signs[status] ?? signs[named[status] ?? ""] ?? IconCircleDashed;
  return <Sign size={size} color={colourOf(status)} aria-hidden style={{ flexShrink: 0 }} />;
}

/** Sign and word. */
export function Status({ status, detail }: { status: string; detail?: string | undefined }) {
  return (
    <span
      data-status={status}
      style={{
        display: "inline-flex",
        alignItems: "center",
        verticalAlign: "middle",
        gap: 6,
        color: colourOf(status),
        fontWeight: 550,
        whiteSpace: "nowrap",
      }}
    >
      <StatusIcon status={status} />
      {status.replaceAll("_", " ")}
      {detail === undefined ? null : <span style={{ fontWeight: 400 }}> · {detail}</span>}
    </span>
  );
}
