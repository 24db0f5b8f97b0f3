import { Anchor } from "@mantine/core";
import { Link } from "react-router";
import { shortId } from "./shortId";

/** A run by the end of its id. */
export function RunLink({ runId }: { runId: string }) {
  return (
    <Anchor component={Link} to={`/runs/${runId}`} size="sm" className="ff-mono" title={`Run ${runId}`}>
      {shortId(runId)}
    </Anchor>
  );
}
