/* What a person can do to a node: decide it, go on from it, halt before it. */
import { Button, Group, Modal, Switch, Text, TextInput } from "@mantine/core";
import { IconReload } from "@tabler/icons-react";
import { useState } from "react";
import { api, type Schemas } from "../../api/client";
import { Code } from "../../editor/Code";
import { useMay } from "../../shell/session";
import { readJson } from "../../ui/readJson";
import { isOpenToHands, isOpenToRetry } from "./deeds";
import { breakpointsOf } from "./drawn";
import { ENDED, type Run } from "./useRun";

type NodeRun = Schemas["NodeRun"];
type Hand = "complete" | "fail" | "skip";

export function ByHand({ run, node, instance }: { run: Run; node: NodeRun; instance: string }) {
  const may = useMay("operator");
  const [hand, setHand] = useState<Hand | null>(null);
  if (!may || !isOpenToHands(run.status, node.status)) return null;
  return (
    <>
      <Button size="compact-sm" variant="default" onClick={() => setHand("complete")}>
        Complete
      </Button>
      <Button size="compact-sm" variant="default" onClick={() => setHand("skip")}>
        Skip
      </Button>
      <Button
        size="compact-sm"
        variant="default"
        style={{ color: "var(--ff-failed)" }}
        onClick={() => setHand("fail")}
      >
        Fail
      </Button>
      {hand === null ? null : (
        <HandDialog hand={hand} run={run} node={node} instance={instance} onClose={() => setHand(null)} />
      )}
    </>
  );
}

const TITLES: Record<Hand, string> = {
  complete: "Complete it by hand?",
  fail: "Fail it by hand?",
  skip: "Skip it by hand?",
};
const MEANS: Record<Hand, string> = {
  complete: "Whatever it does is stopped, and the nodes after it go on with this output.",
  fail: "Whatever it does is stopped, and the run goes on as after any failure.",
  skip: "Whatever it does is stopped, and the nodes that need it are skipped, too, unless their rules say otherwise.",
};

interface HandDialogProps {
  hand: Hand;
  run: Run;
  node: NodeRun;
  instance: string;
  onClose: () => void;
}

function HandDialog({ hand, run, node, instance, onClose }: HandDialogProps) {
  const [comment, setComment] = useState("");
  const [message, setMessage] = useState("");
  const [output, setOutput] = useState("null");
  const complete = api.useMutation("post", "/api/runs/{run_id}/nodes/{node_id}/complete");
  const fail = api.useMutation("post", "/api/runs/{run_id}/nodes/{node_id}/fail");
  const skip = api.useMutation("post", "/api/runs/{run_id}/nodes/{node_id}/skip");
  const value = readJson(output);
  const act = () => {
    const params = { path: { run_id: run.run_id, node_id: node.node_id } };
    const then = { onSuccess: onClose };
    if (hand === "skip") skip.mutate({ params, body: { instance, comment } }, then);
    else if (hand === "fail") fail.mutate({ params, body: { instance, comment, message } }, then);
    else if (value.isSound)
      complete.mutate({ params, body: { instance, comment, output: value.value } }, then);
  };
  return (
    <Modal opened onClose={onClose} title={`${node.node_id}: ${TITLES[hand]}`}>
      <Text size="sm" mb="sm">
        {MEANS[hand]}
      </Text>
      {hand === "complete" ? (
        <>
          <Text size="sm" fw={500}>
            Output (JSON)
          </Text>
          <Code value={output} onChange={setOutput} language="json" label="Output, as JSON" height="130px" />
          {value.isSound ? null : (
            <Text size="xs" style={{ color: "var(--ff-failed)" }}>
              {value.fault}
            </Text>
          )}
        </>
      ) : null}
      {hand === "fail" ? (
        <TextInput
          label="Message of its error"
          value={message}
          onChange={(event) => setMessage(event.currentTarget.value)}
        />
      ) : null}
      <TextInput
        mt="sm"
        label="Comment, kept in the history (optional)"
        value={comment}
        onChange={(event) => setComment(event.currentTarget.value)}
      />
      <Group justify="flex-end" mt="md">
        <Button variant="default" onClick={onClose}>
          Leave it
        </Button>
        <Button
          onClick={act}
          disabled={hand === "complete" && !value.isSound}
          loading={complete.isPending || fail.isPending || skip.isPending}
          {...(hand === "fail" ? { color: "red" } : {})}
        >
          {hand[0]?.toUpperCase()}
          {hand.slice(1)} {node.node_id}
        </Button>
      </Group>
    </Modal>
  );
}

export function RetryFrom({ run, node }: { run: Run; node: NodeRun }) {
  const may = useMay("operator");
  const [isAsked, setAsked] = useState(false);
  const retry = api.useMutation("post", "/api/runs/{run_id}/retry");
  if (!may || !isOpenToRetry(run.status, node.status)) return null;
  const act = () =>
    retry.mutate(
      {
        params: { path: { run_id: run.run_id } },
        body: { from: "node", node_id: node.node_id, node_ids: [], reason: "" },
      },
      { onSuccess: () => setAsked(false) },
    );
  return (
    <>
      <Button
        size="compact-sm"
        variant="default"
        leftSection={<IconReload size={15} />}
        onClick={() => setAsked(true)}
      >
        Retry from here
      </Button>
      <Modal opened={isAsked} onClose={() => setAsked(false)} title={`Retry from ${node.node_id}?`}>
        <Text size="sm">
          This run goes on: {node.node_id} and everything below it are cleared and decided anew. The outputs
          that they have now stay in the history only. To keep this run as it is, fork it instead.
        </Text>
        <Group justify="flex-end" mt="md">
          <Button variant="default" onClick={() => setAsked(false)}>
            Leave it
          </Button>
          <Button onClick={act} loading={retry.isPending}>
            Retry from {node.node_id}
          </Button>
        </Group>
      </Modal>
    </>
  );
}

export function Breakpoint({ run, nodeId }: { run: Run; nodeId: string }) {
  const may = useMay("operator");
  const set = api.useMutation("put", "/api/runs/{run_id}/breakpoints");
  if (!may || ENDED.has(run.status) || run.node_runs?.every((one) => one.node_id !== nodeId)) return null;
  const breakpoints = breakpointsOf(run);
  const isSet = breakpoints.includes(nodeId);
  return (
    <Switch
      size="sm"
      label="Halt before it"
      checked={isSet}
      disabled={set.isPending}
      onChange={() =>
        set.mutate({
          params: { path: { run_id: run.run_id } },
          body: {
            breakpoints: isSet ? breakpoints.filter((one) => one !== nodeId) : [...breakpoints, nodeId],
          },
        })
      }
    />
  );
}
