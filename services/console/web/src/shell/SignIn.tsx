import { Center, Code, Stack, Text, Title } from "@mantine/core";

/** For somebody whom the server does not know. */
export function SignIn() {
  return (
    <Center mih="100dvh" p="md" component="main">
      <Stack maw={480} gap="sm">
        <Title order={1}>Log in to FlowForge</Title>
        <Text>
          <code className="ff-mono">flowforge up</code> prints a link that logs you in, once. For a new one,
          on the machine where FlowForge runs:
        </Text>
        <Code block>flowforge login</Code>
        <Text c="dimmed" size="sm">
          Somebody else runs it? Ask an administrator: they make a link for you under “People and keys”.
        </Text>
      </Stack>
    </Center>
  );
}
