/* The graph as React Flow draws it; what did not change stays the same object, so that only what changed is drawn anew. */
import { Position, type Edge, type NodeHandle } from "@xyflow/react";
import { detoursOf } from "../../../graph/detours";
import { kindOf } from "../../../graph/kinds";
import { NODE_HEIGHT, NODE_WIDTH } from "../../../graph/layout";
import { portTop, type CardData, type CardNode, type PortHandle } from "../../../graph/NodeCard";
import { colourOf } from "../../../ui/Status";
import { fieldOf, isFields, listOf, nameOf, textOf, type NodeDef, type Point } from "../model/definition";
import { bodyOf, type Link } from "../model/graphs";

/** How a node stands in the run that is tried. */
export type Standing = Pick<CardData, "status" | "detail" | "progress" | "instances">;

const HANDLE = 9;

function cardOf(
  node: NodeDef,
  position: Point,
  isFaulty: boolean,
  isSelected: boolean,
  standing: Standing | undefined,
): CardNode {
  const ins = portsOf(node["inputs"], "in:");
  const isCondition = node.type === "condition";
  const outs = isCondition
    ? ["true", "false"].map((id) => ({ id, label: id }))
    : portsOf(node["outputs"], "out:");
  return {
    id: node.id,
    type: "card",
    position,
    selected: isSelected,
    data: {
      type: node.type,
      name: nameOf(node),
      detail: standing?.detail ?? detailOf(node),
      status: standing?.status,
      progress: standing?.progress,
      instances: standing?.instances,
      isMap: isMap(node),
      mark: isFaulty ? "fault" : undefined,
      isConnectable: true,
      ins,
      outs,
      hasOnlyNamedOuts: isCondition,
    },
    width: NODE_WIDTH,
    height: NODE_HEIGHT,
    measured: { width: NODE_WIDTH, height: NODE_HEIGHT },
    handles: [
      handle(undefined, "target", NODE_HEIGHT / 2),
      handle(undefined, "source", NODE_HEIGHT / 2),
      ...ins.map(({ id }, index) => handle(id, "target", portTop(index, ins.length))),
      ...outs.map(({ id }, index) => handle(id, "source", portTop(index, outs.length))),
    ],
    ariaLabel: [nameOf(node), kindOf(node.type).label, isFaulty ? "has a fault" : "", standing?.status ?? ""]
      .filter(Boolean)
      .join(", "),
  };
}

type Cards = (
  nodes: readonly NodeDef[],
  places: ReadonlyMap<string, Point>,
  faulty: ReadonlySet<string>,
  selected: ReadonlySet<string>,
  standings: ReadonlyMap<string, Standing>,
) => CardNode[];

const NO_PLACE: Point = { x: 0, y: 0 };

/** Makes cards and remembers them: of a node that did not change the card is the same as last time. */
export function keptCards(): Cards {
  let last = new Map<string, { of: unknown[]; card: CardNode }>();
  let list: CardNode[] = [];
  return (nodes, places, faulty, selected, standings) => {
    const next: typeof last = new Map();
    let isAllSame = nodes.length === last.size;
    for (const node of nodes) {
      const { id } = node;
      const seen = [places.get(id), faulty.has(id), selected.has(id), standings.get(id)];
      const of = [
        ...seen,
        node.type,
        nameOf(node),
        detailOf(node),
        node["inputs"],
        node["outputs"],
        isMap(node),
      ];
      const kept = last.get(id);
      const isSame = kept?.of.every((value, index) => value === of[index]) === true;
      const card = () =>
        cardOf(node, places.get(id) ?? NO_PLACE, faulty.has(id), selected.has(id), standings.get(id));
      isAllSame &&= isSame;
      next.set(id, isSame ? kept : { of, card: card() });
    }
    last = next;
    if (!isAllSame) list = [...next.values()].map(({ card }) => card);
    return list;
  };
}

/** Where a handle is before the browser has been asked: edges of nodes out of sight are drawn too. */
function handle(id: string | undefined, type: "source" | "target", middle: number): NodeHandle {
  const isOut = type === "source";
  return {
    ...(id === undefined ? {} : { id }),
    type,
    position: isOut ? Position.Right : Position.Left,
    x: (isOut ? NODE_WIDTH : 0) - HANDLE / 2,
    y: middle - HANDLE / 2,
    width: HANDLE,
    height: HANDLE,
  };
}

function portsOf(ports: unknown, prefix: string): PortHandle[] {
  return listOf(ports)
    .filter(isFields)
    .map((port) => textOf(port["name"]))
    .filter((name) => name !== "")
    .map((name) => ({ id: `${prefix}${name}`, label: name }));
}

function isMap(node: NodeDef): boolean {
  return fieldOf(node, "for_each") !== undefined;
}

/** Beside the type, what tells two of the same type apart. */
function detailOf(node: NodeDef): string | undefined {
  const word = DETAIL_FIELDS[node.type];
  if (node.type === "loop") return `${bodyOf(node).nodes.length} in its body`;
  return word === undefined ? undefined : textOf(fieldOf(node, word)) || undefined;
}

const DETAIL_FIELDS: Record<string, string> = {
  job: "job_type",
  script: "language",
  webhook: "method",
  prompt_execution: "provider_model",
  wait_event: "event_type",
  workflow: "workflow_id",
};

type Lines = (
  links: readonly Link[],
  places: ReadonlyMap<string, Point>,
  selected: ReadonlySet<string>,
  cycles: ReadonlySet<string>,
  standings: ReadonlyMap<string, Standing>,
) => Edge[];

/** The same for edges; where none changed, the list is the same too. */
export function keptLines(): Lines {
  let last = new Map<string, { of: unknown[]; line: Edge }>();
  let list: Edge[] = [];
  return (links, places, selected, cycles, standings) => {
    const next: typeof last = new Map();
    let isSame = links.length === last.size;
    const detours = detoursOf(links, places);
    for (const [index, link] of links.entries()) {
      const { key, source, target, edge, port, label } = link;
      const detour = detours.get(index);
      const isCycle = cycles.has(`${source}>${target}`);
      const isBack = (places.get(target)?.x ?? 0) < (places.get(source)?.x ?? 0);
      const way = [isBack, detour?.y, detour?.from, detour?.to];
      const of = [edge, port, label, selected.has(key), isCycle, standings.get(target)?.status, ...way];
      const kept = last.get(key);
      const isKept = kept?.of.every((value, index) => value === of[index]) === true;
      isSame &&= isKept;
      const line = () => ({
        ...edgeOf(link, selected.has(key), isCycle, standings.get(target)?.status),
        ...(isBack ? { type: "back" } : {}),
        ...(detour === undefined ? {} : { type: "around", data: { ...detour } }),
      });
      next.set(key, isKept ? kept : { of, line: line() });
    }
    last = next;
    if (!isSame) list = [...next.values()].map(({ line }) => line);
    return list;
  };
}

function edgeOf(link: Link, isSelected: boolean, isCycle: boolean, status: string | undefined): Edge {
  const { key, source, target, port, edge, label } = link;
  const stroke = isCycle ? "var(--ff-failed)" : status === undefined ? undefined : colourOf(status);
  const named = (field: string, prefix: string) => {
    const name = textOf(edge?.[field]);
    return name === "" ? null : `${prefix}${name}`;
  };
  const sourceHandle = port === "true" || port === "false" ? port : named("source_output", "out:");
  const said = port === "true" || port === "false" ? label.replace(/^(true|false)(?: · )?/, "") : label;
  return {
    id: key,
    source,
    target,
    sourceHandle,
    targetHandle: named("target_input", "in:"),
    selected: isSelected,
    interactionWidth: 18,
    ariaLabel: `${source} leads to ${target}${label === "" ? "" : `, ${label}`}${isCycle ? ", part of a cycle" : ""}`,
    ...(said === ""
      ? {}
      : {
          label: said,
          labelShowBg: true,
          labelBgStyle: { fill: "var(--ff-page)" },
          labelStyle: { fill: "var(--mantine-color-text)", fontSize: 11 },
        }),
    animated: status === "running",
    style: {
      ...(isSelected ? { stroke: "var(--mantine-color-anchor)" } : stroke === undefined ? {} : { stroke }),
      strokeWidth: isCycle || isSelected ? 2.5 : 1.5,
      ...(port === "order" ? { strokeDasharray: "2 4" } : {}),
    },
  };
}
