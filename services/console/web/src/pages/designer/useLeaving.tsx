/* Leaving with something unsaved is asked about: closing the tab by the browser, following a link by us. */
import { Button, Group, Modal, Text } from "@mantine/core";
import { useEffect, useState, type ReactNode } from "react";
import { useNavigate } from "react-router";

export function useLeaving(isUnsaved: boolean, ownPath: string): ReactNode {
  const [wanted, setWanted] = useState<string | null>(null);
  const go = useNavigate();
  useEffect(() => {
    if (!isUnsaved) return;
    const unloading = (event: BeforeUnloadEvent) => event.preventDefault();
    const clicked = (event: MouseEvent) => {
      const to = leadsAway(event, ownPath);
      if (to === null) return;
      event.preventDefault();
      event.stopPropagation();
      setWanted(to);
    };
    window.addEventListener("beforeunload", unloading);
    document.addEventListener("click", clicked, true);
    return () => {
      window.removeEventListener("beforeunload", unloading);
      document.removeEventListener("click", clicked, true);
    };
  }, [isUnsaved, ownPath]);
  return (
    <Modal opened={wanted !== null} onClose={() => setWanted(null)} title="Leave without saving?">
      <Text size="sm">
        What you changed is not saved. This tab keeps it as a draft, until the tab is closed.
      </Text>
      <Group mt="md" justify="flex-end">
        <Button variant="default" onClick={() => setWanted(null)}>
          Stay
        </Button>
        <Button onClick={() => void go(wanted ?? "/")}>Leave</Button>
      </Group>
    </Modal>
  );
}

/** The address inside the console that a click leads to, in this tab; null for all others. */
export function leadsAway(event: MouseEvent, ownPath: string): string | null {
  if (event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return null;
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  if (link === null || (link.target !== "" && link.target !== "_self") || link.hasAttribute("download"))
    return null;
  const to = new URL(link.href, window.location.href);
  if (to.origin !== window.location.origin || to.pathname === ownPath) return null;
  return `${to.pathname}${to.search}${to.hash}`;
}
