import { Tabs } from "@mantine/core";
import { useEffect, useRef, type ReactNode } from "react";

/** Tabs in one row; where the window is too narrow for all, the one that is shown is in sight. */
export function TabList({ shown, children }: { shown: string; children: ReactNode }) {
  const list = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const tab = list.current?.querySelector<HTMLElement>("[role=tab][aria-selected=true]");
    if (tab === null || tab === undefined || list.current === null) return;
    list.current.scrollLeft = tab.offsetLeft - (list.current.clientWidth - tab.offsetWidth) / 2;
  }, [shown]);
  return (
    <Tabs.List
      ref={list}
      style={{ flexWrap: "nowrap", overflowX: "auto", overflowY: "hidden", flexShrink: 0 }}
    >
      {children}
    </Tabs.List>
  );
}
