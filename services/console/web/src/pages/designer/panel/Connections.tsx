/* What a node comes after and leads to: by keyboard what handles are for the pointer. */
import { MultiSelect, Stack } from "@mantine/core";
import { useMemo } from "react";
import { nameOf, type NodeDef } from "../model/definition";
import { connect, removeLinks } from "../model/edges";
import { graphAt, linksOf } from "../model/graphs";
import { useDesign } from "../useDesign";

export function Connections({ node }: { node: NodeDef }) {
  const { definition, scope, edit } = useDesign();
  const graph = graphAt(definition, scope);
  const { before, after, others } = useMemo(() => {
    const links = graph === null ? [] : linksOf(graph);
    return {
      before: links.filter(({ target }) => target === node.id),
      after: links.filter(({ source }) => source === node.id),
      others: (graph?.nodes ?? [])
        .filter(({ id }) => id !== node.id)
        .map((other) => ({ value: other.id, label: nameOf(other) })),
    };
  }, [graph, node.id]);
  const set = (ids: string[], way: "before" | "after") => {
    const links = way === "before" ? before : after;
    const end = (link: { source: string; target: string }) => (way === "before" ? link.source : link.target);
    const there = new Set(links.map(end));
    const gone = links.filter((link) => !ids.includes(end(link))).map(({ key }) => key);
    edit((definition) => {
      const less = gone.length === 0 ? definition : removeLinks(definition, scope, gone);
      return ids
        .filter((id) => !there.has(id))
        .reduce(
          (more, id) =>
            connect(
              more,
              scope,
              way === "before" ? { source: id, target: node.id } : { source: node.id, target: id },
            ),
          less,
        );
    });
  };
  const unique = (ids: string[]) => [...new Set(ids)];
  return (
    <Stack gap="sm">
      <MultiSelect
        size="xs"
        label="Comes after"
        value={unique(before.map(({ source }) => source))}
        onChange={(ids) => set(ids, "before")}
        data={others}
        searchable
        limit={200}
        placeholder={before.length === 0 ? "Begins at once" : ""}
        data-testid="comes-after"
      />
      {node.type === "condition" || node.type === "parallel" ? null : (
        <MultiSelect
          size="xs"
          label="Leads to"
          value={unique(after.map(({ target }) => target))}
          onChange={(ids) => set(ids, "after")}
          data={others}
          searchable
          limit={200}
          placeholder={after.length === 0 ? "Nothing" : ""}
          data-testid="leads-to"
        />
      )}
    </Stack>
  );
}
