import { Anchor } from "@mantine/core";
import { Link } from "react-router";

/** A run by the end of its id, which is what differs from one to the next. */
export function RunLink({ runId }: { runId: string }) {
  return (
    <Anchor component={Link} to={`/runs/${runId}`} size="sm" title={runId} style={{ whiteSpace: "nowrap" }}>
      Run …{runId.slice(-6)}
    </Anchor>
  );
}
