import { Box, Button, Checkbox, Collapse, Group, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useMemo } from "react";
import type { Schemas } from "../../api/client";
import { Facts } from "../../ui/Facts";
import { Json } from "../../ui/Json";
import { Status } from "../../ui/Status";
import { When } from "../../ui/When";
import { bodyOf } from "./bodies";

interface LetterProps {
  letter: Schemas["DeadLetter"];
  isChosen: boolean;
  onChoose: (isChosen: boolean) => void;
  onRetry: () => void;
  isBusy: boolean;
  mayRetry: boolean;
}

export function Letter({ letter, isChosen, onChoose, onRetry, isBusy, mayRetry }: LetterProps) {
  const [isOpen, { toggle }] = useDisclosure();
  const isWaiting = letter.status === "open";
  return (
    <Box
      className="ff-panel"
      p="sm"
      data-row
      data-testid={`dead-letter-${letter.id}`}
      data-status={letter.status}
      data-service={letter.service}
    >
      <Group align="flex-start" gap="sm" wrap="nowrap">
        {mayRetry ? (
          <Checkbox
            aria-label={`Choose the message on ${letter.subject}`}
            checked={isChosen}
            disabled={!isWaiting}
            onChange={({ currentTarget }) => onChoose(currentTarget.checked)}
            mt={2}
          />
        ) : null}
        <div style={{ minWidth: 0, flex: 1 }}>
          <Group justify="space-between" gap="xs">
            <Text fw={600} style={{ overflowWrap: "anywhere" }}>
              {letter.reason}
            </Text>
            <Status status={letter.status} />
          </Group>
          <Text size="sm" c="dimmed" component="div" style={{ overflowWrap: "anywhere" }}>
            {letter.service} could not handle it · <code className="ff-mono">{letter.subject}</code>
          </Text>
          <Text size="xs" c="dimmed" component="div">
            put aside <When at={letter.quarantined_at} relative /> after{" "}
            {times(letter.deliveries, "try", "tries")}
            {letter.failures > 1 ? ` · put aside ${times(letter.failures, "time", "times")} in all` : ""}
            {letter.retries === 0 ? "" : ` · retried ${times(letter.retries, "time", "times")}`}
            {letter.retried_by === null ? "" : `, last by ${letter.retried_by}`}
          </Text>
          <Group gap="xs" mt="xs">
            <Button variant="default" size="compact-sm" onClick={toggle} aria-expanded={isOpen}>
              {isOpen ? "Hide the message" : "Show the message"}
            </Button>
            {mayRetry && isWaiting ? (
              <Button
                variant="light"
                size="compact-sm"
                onClick={onRetry}
                disabled={isBusy}
                data-testid="retry"
              >
                Retry
              </Button>
            ) : null}
          </Group>
          <Collapse expanded={isOpen}>{isOpen ? <Message letter={letter} /> : null}</Collapse>
        </div>
      </Group>
    </Box>
  );
}

function Message({ letter }: { letter: Schemas["DeadLetter"] }) {
  const body = useMemo(() => bodyOf(letter.body, letter.body_encoding), [letter.body, letter.body_encoding]);
  return (
    <Box mt="sm">
      <Facts
        of={[
          [
            "Id",
            <code key="id" className="ff-mono">
              {letter.id}
            </code>,
          ],
          ["Last put aside", <When key="at" at={letter.quarantined_at} />],
          ["Last retried", <When key="retried" at={letter.retried_at} />],
        ]}
      />
      <Box mt="sm">
        {body.isJson ? (
          <Json value={body.value} label="The message" />
        ) : (
          <pre
            className="ff-json ff-mono ff-scroll"
            tabIndex={0}
            role="region"
            aria-label="The message"
            style={{ maxHeight: 320 }}
          >
            {body.text === "" ? "(empty)" : body.text}
          </pre>
        )}
      </Box>
    </Box>
  );
}

function times(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}
