/* The pages that have a place in the navigation and in the palette. */
import {
  IconActivity,
  IconAlertOctagon,
  IconBell,
  IconBolt,
  IconChecklist,
  IconHistory,
  IconHome,
  IconLayoutGrid,
  IconSitemap,
  IconUsers,
  type Icon,
} from "@tabler/icons-react";

export interface Place {
  to: string;
  label: string;
  icon: Icon;
  /** Pressed after `g`. */
  key: string;
}

export const places: Place[] = [
  { to: "/", label: "Overview", icon: IconHome, key: "o" },
  { to: "/workflows", label: "Workflows", icon: IconSitemap, key: "w" },
  { to: "/runs", label: "Runs", icon: IconActivity, key: "r" },
  { to: "/triggers", label: "Triggers", icon: IconBolt, key: "t" },
  { to: "/approvals", label: "Approvals", icon: IconChecklist, key: "a" },
  { to: "/events", label: "Events", icon: IconBell, key: "e" },
  { to: "/dead-letters", label: "Dead letters", icon: IconAlertOctagon, key: "d" },
  { to: "/templates", label: "Templates", icon: IconLayoutGrid, key: "m" },
  { to: "/audit", label: "Audit", icon: IconHistory, key: "u" },
  { to: "/people", label: "People and keys", icon: IconUsers, key: "p" },
];
