import { Button, Center } from "@mantine/core";

interface MoreProps {
  of: { hasNextPage: boolean; isFetchingNextPage: boolean; fetchNextPage: () => unknown };
}

/** The next page of a list, where there is one. */
export function More({ of }: MoreProps) {
  if (!of.hasNextPage) return null;
  return (
    <Center p="xs">
      <Button
        variant="default"
        size="compact-sm"
        loading={of.isFetchingNextPage}
        onClick={() => void of.fetchNextPage()}
      >
        Show more
      </Button>
    </Center>
  );
}
