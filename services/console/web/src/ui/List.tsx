/* Lists of the interface, page after page as one scrolls: `{items, next_cursor}`. */
import { Table } from "@mantine/core";
import type { ReactNode } from "react";
import { moveInList } from "../shell/keys";
import { More } from "./More";
import { Failed, Loading } from "./Said";

export interface Column<T> {
  label: string;
  cell: (item: T) => ReactNode;
  /** Left out where the window is narrow. */
  isExtra?: boolean;
  align?: "left" | "right";
  width?: number | string;
}

interface ListProps<T> {
  /** Of `useInfiniteQuery` over pages. */
  of: {
    data: { pages: { items: T[] }[] } | undefined;
    error: unknown;
    isPending: boolean;
    hasNextPage: boolean;
    isFetchingNextPage: boolean;
    fetchNextPage: () => unknown;
    refetch: () => unknown;
  };
  columns: Column<T>[];
  /** What stands on the row's element: its key, test id and whatever `data-…`. */
  row: (item: T) => { key: string } & Record<`data-${string}`, string | undefined>;
  label: string;
  /** Shown where the list has nothing. */
  empty: ReactNode;
}

export function List<T>({ of, columns, row, label, empty }: ListProps<T>) {
  const items = of.data?.pages.flatMap((page) => page.items);
  if (items === undefined)
    return of.isPending ? (
      <Loading what={`Loading ${label}`} />
    ) : (
      <Failed error={of.error} onRetry={() => void of.refetch()} />
    );
  if (items.length === 0) return <>{empty}</>;
  return (
    <div className="ff-panel ff-scroll">
      <Rows items={items} columns={columns} row={row} label={label} />
      <More of={of} />
    </div>
  );
}

/** The same for items that are all there. */
export function Rows<T>({
  items,
  columns,
  row,
  label,
}: { items: T[] } & Pick<ListProps<T>, "columns" | "row" | "label">) {
  const visible = (column: Column<T>) => (column.isExtra === true ? "ff-extra" : undefined);
  return (
    <Table aria-label={label} onKeyDown={moveInList}>
      <Table.Thead>
        <Table.Tr>
          {columns.map((column) => (
            <Table.Th
              key={column.label}
              className={visible(column)}
              ta={column.align ?? "left"}
              w={column.width}
              fz="xs"
              c="dimmed"
            >
              {column.label}
            </Table.Th>
          ))}
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {items.map((item) => {
          const { key, ...data } = row(item);
          return (
            <Table.Tr key={key} className="ff-table-row" data-row {...data}>
              {columns.map((column) => (
                <Table.Td key={column.label} className={visible(column)} ta={column.align ?? "left"}>
                  {column.cell(item)}
                </Table.Td>
              ))}
            </Table.Tr>
          );
        })}
      </Table.Tbody>
    </Table>
  );
}
