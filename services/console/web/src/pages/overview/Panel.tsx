import { Anchor, Group, Title } from "@mantine/core";
import { useId, type ReactNode } from "react";
import { Link } from "react-router";

interface PanelProps {
  title: string;
  /** Where all of it is. */
  to?: string;
  toLabel?: string;
  aside?: ReactNode;
  children: ReactNode;
}

/** A part of a page with a heading, and the way to the rest of it. */
export function Panel({ title, to, toLabel = "Show all", aside, children }: PanelProps) {
  const id = useId();
  return (
    <section className="ff-panel" aria-labelledby={id} style={{ padding: "12px 16px", minWidth: 0 }}>
      <Group justify="space-between" mb={8} gap="xs">
        <Title order={2} id={id}>
          {title}
        </Title>
        {aside}
        {to === undefined ? null : (
          <Anchor component={Link} to={to} size="sm" aria-label={`${toLabel}: ${title}`}>
            {toLabel}
          </Anchor>
        )}
      </Group>
      {children}
    </section>
  );
}
