import { Anchor, Text } from "@mantine/core";
import { Link } from "react-router";
import type { Schemas } from "../api/client";
import { shortId } from "../ui/shortId";
import { runOf } from "./causes";

/** The event for which a trigger was evaluated, and the way to it. */
export function CauseLink({ cause }: { cause: Schemas["CauseView"] }) {
  const run = runOf(cause.source);
  return (
    <div style={{ minWidth: 0 }}>
      <Anchor component={Link} to={`/events/${cause.event_id}`} size="sm">
        {cause.type}
      </Anchor>
      <Text
        size="xs"
        c="dimmed"
        truncate
        maw={260}
        className="ff-mono ff-extra"
        title={`${cause.source} · ${cause.id}`}
      >
        {run === null ? `${cause.source} · ${cause.id}` : `of run ${shortId(run)}`}
      </Text>
    </div>
  );
}
