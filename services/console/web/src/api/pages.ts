/* What `useInfiniteQuery` needs for the interface's lists. */
export const PAGE_SIZE = 50;

export const byCursor = {
  pageParamName: "cursor",
  initialPageParam: undefined as string | undefined,
  getNextPageParam: (page: { next_cursor?: string | null }): string | undefined =>
    page.next_cursor ?? undefined,
};
