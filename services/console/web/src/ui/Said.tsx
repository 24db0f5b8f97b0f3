/* What is said where there is nothing to show: nothing yet, nothing any more, or something went wrong. */
import { Alert, Button, Center, List, Loader, Stack, Text, Title } from "@mantine/core";
import { IconAlertCircle } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { Problem } from "../api/client";

/** An empty state says what would be here, and what to do next. */
export function Empty({
  title,
  children,
  action,
}: {
  title: string;
  children?: ReactNode;
  action?: ReactNode;
}) {
  return (
    <Center p="xl">
      <Stack align="center" gap="xs" maw={460}>
        <Title order={3} ta="center">
          {title}
        </Title>
        {children === undefined ? null : (
          <Text c="dimmed" ta="center" size="sm" component="div">
            {children}
          </Text>
        )}
        {action}
      </Stack>
    </Center>
  );
}

export function Failed({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const problem = error instanceof Problem ? error : null;
  return (
    <Alert
      color="red"
      variant="light"
      icon={<IconAlertCircle />}
      title={problem?.title ?? "That did not work"}
      my="xs"
      role="alert"
    >
      <Text size="sm">{error instanceof Error ? error.message : String(error)}</Text>
      {problem === null || problem.errors.length === 0 ? null : <Findings errors={problem.errors} />}
      {onRetry === undefined ? null : (
        <Button mt="sm" variant="default" onClick={onRetry}>
          Try again
        </Button>
      )}
    </Alert>
  );
}

export function Findings({ errors }: { errors: Problem["errors"] }) {
  return (
    <List size="sm" mt="xs">
      {errors.map((error, index) => (
        <List.Item key={index}>
          {error.path === undefined ? null : <code className="ff-mono">{error.path}</code>} {error.message}
          {error.suggested_resolution === undefined ? null : (
            <Text size="sm">→ {error.suggested_resolution}</Text>
          )}
        </List.Item>
      ))}
    </List>
  );
}

export function Loading({ what = "Loading" }: { what?: string }) {
  return (
    <Center p="xl" role="status" aria-label={what}>
      <Loader size="sm" />
    </Center>
  );
}

/** One of the three above, or the data. */
export function Shown<T>(props: {
  of: { data: T | undefined; error: unknown; isPending: boolean; refetch: () => unknown };
  children: (data: T) => ReactNode;
}) {
  const { data, error, isPending, refetch } = props.of;
  if (data !== undefined) return <>{props.children(data)}</>;
  if (isPending) return <Loading />;
  return <Failed error={error} onRetry={() => void refetch()} />;
}
