import { createContext, useContext } from "react";
import { api, type Schemas } from "../api/client";

export type Session = Schemas["SessionView"];
export type Role = Session["role"];
const ranks: Role[] = ["viewer", "operator", "editor", "admin"];

export function useSessionQuery() {
  return api.useQuery("get", "/api/session", {}, { staleTime: 60_000 });
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
