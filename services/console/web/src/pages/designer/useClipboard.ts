/* Nodes on the clipboard are YAML, so that they can be pasted in other windows, and into a text too. */
import { useEffect, useRef } from "react";
import { isTyping } from "../../shell/keys";
import { say } from "../../ui/say";
import { layOut } from "../../graph/layout";
import type { Graph, Point } from "./model/definition";
import { copied, moveNodes, paste, pointOf, removeNodes } from "./model/nodes";
import { linksOf } from "./model/graphs";
import { NOTHING } from "./model/design";
import { print } from "./text/print";
import { read } from "./text/read";
import { useDesign } from "./useDesign";

const APART: Point = { x: 40, y: 80 };

export function asClipping({ nodes, edges }: Graph): string {
  return print(edges.length === 0 ? { nodes } : { nodes, edges });
}

/** The nodes in a text, or null where it has none. */
export function fromClipping(text: string): Graph | null {
  if (!/\bnodes\b/.test(text)) return null;
  const got = read(text);
  if ("fault" in got || got.definition.nodes.length === 0) return null;
  return placed({ nodes: got.definition.nodes, edges: got.definition.edges ?? [] });
}

function placed(graph: Graph): Graph {
  if (graph.nodes.every((node) => pointOf(node["position"]) !== null)) return graph;
  const places = layOut({ nodes: graph.nodes.map(({ id }) => ({ id })), edges: linksOf(graph) });
  const { nodes } = moveNodes(graph as never, [], new Map(places.map((place) => [place.id, place])));
  return { ...graph, nodes };
}

export function useClipboard(): void {
  const design = useDesign();
  const latest = useRef(design);
  useEffect(() => {
    latest.current = design;
  });
  useEffect(() => {
    const copy = (event: ClipboardEvent) => {
      const { definition, scope, selection, edit } = latest.current;
      const isText = isTyping(event.target) || (window.getSelection()?.toString() ?? "") !== "";
      if (isText || selection.nodes.length === 0 || event.clipboardData === null) return;
      event.clipboardData.setData("text/plain", asClipping(copied(definition, scope, selection.nodes)));
      event.preventDefault();
      if (event.type === "cut")
        edit((before) => removeNodes(before, scope, selection.nodes), undefined, NOTHING);
    };
    const put = (event: ClipboardEvent) => {
      if (isTyping(event.target)) return;
      const graph = fromClipping(event.clipboardData?.getData("text/plain") ?? "");
      if (graph === null) {
        say("What is pasted here is a definition's `nodes`, as YAML or JSON.", "No nodes on the clipboard");
        return;
      }
      event.preventDefault();
      const { definition, scope, edit } = latest.current;
      const pasted = paste(definition, scope, graph, APART);
      edit(() => pasted.definition, undefined, { nodes: pasted.ids, links: [] });
    };
    document.addEventListener("copy", copy);
    document.addEventListener("cut", copy);
    document.addEventListener("paste", put);
    return () => {
      document.removeEventListener("copy", copy);
      document.removeEventListener("cut", copy);
      document.removeEventListener("paste", put);
    };
  }, []);
}
