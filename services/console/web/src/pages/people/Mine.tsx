import { Stack, Text } from "@mantine/core";
import { useSession } from "../../shell/session";
import { Empty } from "../../ui/Said";
import { Keys } from "./Keys";
import { roles } from "./roles";

/** Everybody sees to keys of their own. */
export function Mine() {
  const session = useSession();
  const does = roles.find(({ role }) => role === session.role)?.does ?? "";
  if (session.auth === "off") {
    return (
      <Empty title="Authentication is off">
        Everybody on this machine may do everything, without a key. Start FlowForge without{" "}
        <code className="ff-mono">FLOWFORGE_AUTH=off</code> to have people and keys.
      </Empty>
    );
  }
  return (
    <Stack gap="md">
      <Text size="sm">
        You are <b>{session.user}</b>: {session.role}, who {does}.
      </Text>
      <Keys user={session.user} />
    </Stack>
  );
}
