/* What `useInfiniteQuery` needs for the interface's lists. */
export const PAGE_SIZE = 50;

export const byCursor = {
  pageParamName: "cursor",
  /** null: the first page has no cursor. `undefined` would become `0` on the way. */
  initialPageParam: null as string | null,
  getNextPageParam: (page: { next_cursor?: string | null }): string | undefined =>
    page.next_cursor ?? undefined,
};
