import { useQuery } from "@tanstack/react-query";
import { createContext, useContext } from "react";
import { getJson } from "../api/client";

export type Role = "viewer" | "operator" | "editor" | "admin";
const ranks: Role[] = ["viewer", "operator", "editor", "admin"];

/** As `GET /api/session` tells it. */
export interface Session {
  user: string;
  role: Role;
  expires_at: string | null;
  auth: "session" | "key" | "off";
}

export function useSessionQuery() {
  return useQuery({
    queryKey: ["session"],
    queryFn: ({ signal }) => getJson<Session>("/api/session", signal),
    staleTime: 60_000,
  });
}

export const SessionContext = createContext<Session | null>(null);

export function useSession(): Session {
  const session = useContext(SessionContext);
  if (session === null) throw new Error("a page is shown only to somebody");
  return session;
}

/** Whether the one who looks may do what needs this role: the server decides, the page only does not tempt. */
export function useMay(role: Role): boolean {
  return ranks.indexOf(useSession().role) >= ranks.indexOf(role);
}
