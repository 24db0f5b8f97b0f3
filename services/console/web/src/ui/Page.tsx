import { Anchor, Box, Group, Text, Title } from "@mantine/core";
import { useDocumentTitle } from "@mantine/hooks";
import type { ReactNode } from "react";
import { Link } from "react-router";

interface PageProps {
  title: string;
  /** The way here: `[["Workflows", "/workflows"]]`. */
  path?: [string, string][];
  /** Beside the title. */
  aside?: ReactNode;
  /** On the right: what can be done. */
  actions?: ReactNode;
  /** Pages that fill the window (graphs) scroll inside themselves. */
  fills?: boolean;
  children: ReactNode;
}

/** The frame of every page: where one is, what it is called, what can be done here. */
export function Page({ title, path = [], aside, actions, fills = false, children }: PageProps) {
  useDocumentTitle(`${title} · FlowForge`);
  return (
    <Box
      p={{ base: "sm", sm: "md" }}
      style={
        fills
          ? { height: "100%", display: "flex", flexDirection: "column", minHeight: 0 }
          : { maxWidth: 1500 }
      }
    >
      <Group justify="space-between" align="flex-end" mb="md" gap="sm" wrap="wrap">
        <div style={{ minWidth: 0 }}>
          {path.length === 0 ? null : (
            <nav aria-label="Breadcrumb">
              <Text size="xs" c="dimmed">
                {path.map(([label, to]) => (
                  <span key={to}>
                    <Anchor component={Link} to={to} size="xs">
                      {label}
                    </Anchor>
                    {" / "}
                  </span>
                ))}
              </Text>
            </nav>
          )}
          <Group gap="sm" wrap="wrap">
            <Title order={1} style={{ overflowWrap: "anywhere" }}>
              {title}
            </Title>
            {aside}
          </Group>
        </div>
        {actions === undefined ? null : <Group gap="xs">{actions}</Group>}
      </Group>
      {fills ? <div style={{ flex: 1, minHeight: 0 }}>{children}</div> : children}
    </Box>
  );
}
