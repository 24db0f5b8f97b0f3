import { Anchor, Box, Button, Group, Text, TextInput } from "@mantine/core";
import { IconCheck, IconX } from "@tabler/icons-react";
import { useState } from "react";
import { Link } from "react-router";
import { api, type Schemas } from "../../api/client";
import { useMay, useSession } from "../../shell/session";
import { RunLink } from "../../ui/RunLink";
import { say } from "../../ui/say";
import { When } from "../../ui/When";
import { mayDecide, whoMay } from "./approvers";

type Approval = Schemas["Approval"];

/** One question, and the two answers to it. */
export function OpenApproval({ approval }: { approval: Approval }) {
  const { user, auth } = useSession();
  const isAllowed = useMay("operator") && (auth === "off" || mayDecide(approval.approvers, user));
  return (
    <Box
      className="ff-panel ff-table-row"
      p="sm"
      data-row
      data-testid={`approval-${approval.id}`}
      data-status={approval.status}
    >
      <Group justify="space-between" align="flex-start" gap="sm">
        <div style={{ minWidth: 0, flex: "1 1 300px" }}>
          <Text fw={600} style={{ overflowWrap: "anywhere" }}>
            {approval.message === "" ? "Approve?" : approval.message}
          </Text>
          <Text size="sm" c="dimmed" component="div">
            <Anchor component={Link} to={`/workflows/${approval.workflow_id}`} size="sm">
              {approval.workflow_id}
            </Anchor>
            {" · node "}
            <Anchor component={Link} to={`/runs/${approval.run_id}?node=${approval.node_id}`} size="sm">
              {approval.node_id}
            </Anchor>
            {approval.instance === "" ? "" : ` ${approval.instance}`}
            {" · "}
            <RunLink runId={approval.run_id} />
          </Text>
          <Text size="xs" c="dimmed" component="div">
            asked <When at={approval.requested_at} relative />
            {approval.expires_at === null ? null : (
              <>
                {", "}expires <When at={approval.expires_at} relative />
              </>
            )}
            {" · may decide: "}
            {whoMay(approval.approvers)}
          </Text>
        </div>
        {isAllowed ? <Answer approval={approval} /> : null}
      </Group>
    </Box>
  );
}

function Answer({ approval }: { approval: Approval }) {
  const [comment, setComment] = useState("");
  const decide = api.useMutation("post", "/api/approvals/{approval_id}", {
    onSuccess: ({ decision }) => say(approval.message, decision === "approve" ? "Approved" : "Rejected"),
  });
  const answer = (decision: "approve" | "reject") =>
    decide.mutate({ params: { path: { approval_id: approval.id } }, body: { decision, comment } });
  const isGiven = decide.isPending || decide.isSuccess;
  const about = approval.message === "" ? approval.node_id : approval.message;
  return (
    <Group gap="xs" wrap="wrap">
      <TextInput
        aria-label={`Comment on: ${about}`}
        placeholder="Comment (optional)"
        value={comment}
        onChange={({ currentTarget }) => setComment(currentTarget.value)}
        disabled={isGiven}
        w={220}
      />
      <Button
        leftSection={<IconCheck size={16} aria-hidden />}
        aria-label={`Approve: ${about}`}
        data-testid="approve"
        disabled={isGiven}
        onClick={() => answer("approve")}
      >
        Approve
      </Button>
      <Button
        variant="default"
        leftSection={<IconX size={16} aria-hidden />}
        aria-label={`Reject: ${about}`}
        data-testid="reject"
        disabled={isGiven}
        onClick={() => answer("reject")}
      >
        Reject
      </Button>
    </Group>
  );
}
