import { ActionIcon, Anchor, Text } from "@mantine/core";
import { IconX } from "@tabler/icons-react";
import { Link } from "react-router";
import { errorOf, fieldsOf, numberOf } from "../../../api/narrow";
import { Status } from "../../../ui/Status";
import { took } from "../../../ui/times";
import type { Trial } from "./useTrial";

/** How the run that is watched stands. */
export function TrialStrip({ trial }: { trial: Trial }) {
  const { runId, run, watch } = trial;
  if (runId === null) return null;
  const error = errorOf(run?.error)?.message ?? "";
  const percent = numberOf(fieldsOf(run?.progress)["percent"]);
  return (
    <div className="ff-designer-strip" role="status" data-testid="trial" data-status={run?.status}>
      <b>Test run</b>
      {run === undefined ? (
        "is starting…"
      ) : (
        <Status
          status={run.status}
          detail={
            run.duration_ms !== null
              ? took(run.duration_ms)
              : percent === null
                ? undefined
                : `${Math.round(percent)} %`
          }
        />
      )}
      <Anchor component={Link} to={`/runs/${runId}`} size="sm">
        Open the run
      </Anchor>
      {error === "" ? null : (
        <Text size="xs" style={{ color: "var(--ff-failed)", overflowWrap: "anywhere" }}>
          {error}
        </Text>
      )}
      <ActionIcon
        variant="subtle"
        color="gray"
        size="sm"
        ml="auto"
        onClick={() => watch(null)}
        aria-label="Stop watching the test run"
      >
        <IconX size={14} />
      </ActionIcon>
    </div>
  );
}
