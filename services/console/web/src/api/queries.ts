import { MutationCache, QueryClient } from "@tanstack/react-query";
import { Problem } from "./client";
import { sayProblem } from "../ui/say";

/** Trying again helps only where nobody answered. */
function isWorthARetry(failures: number, error: Error): boolean {
  const status = error instanceof Problem ? error.status : 0;
  return (status === 0 || status === 503) && failures < 2;
}

export const queries: QueryClient = new QueryClient({
  defaultOptions: {
    queries: { retry: isWorthARetry, staleTime: 2_000, refetchOnWindowFocus: true, throwOnError: false },
    mutations: { retry: false },
  },
  mutationCache: new MutationCache({
    onError: (error, _variables, _context, mutation) => {
      if (mutation.meta?.["says"] !== false) sayProblem(error);
    },
    onSuccess: (): Promise<void> => queries.invalidateQueries(),
  }),
});
