import { useEffect, useRef, type RefObject } from "react";

/** The tab that is open is within view, where narrow windows show a part of the list only. */
export function useTabSeen(tab: string): RefObject<HTMLDivElement | null> {
  const list = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const chosen = list.current?.querySelector<HTMLElement>("[aria-selected=true]");
    if (list.current === null || chosen == null) return;
    list.current.scrollLeft = chosen.offsetLeft - (list.current.clientWidth - chosen.offsetWidth) / 2;
  }, [tab]);
  return list;
}
