import { MutationCache, QueryCache, QueryClient } from "@tanstack/react-query";
import { isUnknown, Problem } from "./client";
import { sayProblem } from "../ui/say";

/** Trying again helps only where nobody answered. */
function isWorthARetry(failures: number, error: Error): boolean {
  const status = error instanceof Problem ? error.status : 0;
  return (status === 0 || status === 503) && failures < 2;
}

/** Who looks is asked for anew: one whom the server does not know any more is shown how to log in. */
export function askWhoLooks(): void {
  void queries.invalidateQueries({ queryKey: ["get", "/api/session"] });
}

export const queries: QueryClient = new QueryClient({
  defaultOptions: {
    queries: { retry: isWorthARetry, staleTime: 2_000, refetchOnWindowFocus: true, throwOnError: false },
    mutations: { retry: false },
  },
  queryCache: new QueryCache({
    onError: (error, { queryKey }) => {
      if (isUnknown(error) && queryKey[1] !== "/api/session") askWhoLooks();
    },
  }),
  mutationCache: new MutationCache({
    onError: (error, _variables, _context, mutation) => {
      if (mutation.meta?.["says"] !== false) sayProblem(error);
      if (isUnknown(error)) askWhoLooks();
    },
    onSuccess: (): Promise<void> => queries.invalidateQueries(),
  }),
});
