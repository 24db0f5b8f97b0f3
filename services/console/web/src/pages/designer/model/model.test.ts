import { expect, test } from "vitest";
import { faultOfId } from "../../../definition/ids";
import { isEqual } from "../text/equal";
import { patched } from "../text/patch";
import { print } from "../text/print";
import { read } from "../text/read";
import { added } from "./adding";
import { fieldOf, withField, type Definition, type NodeDef, type TriggerDef } from "./definition";
import { beginDesign, definitionOf, designed, textOfDesign, type Design } from "./design";
import { connect, faultOfConnection, removeLinks, setEdgeField } from "./edges";
import { atScope, everyNode, graphAt, linksOf, scopeOf } from "./graphs";
import { addNode, changeNode, copied, moveNodes, paste, removeNodes, renameNode, takenIds } from "./nodes";
import { unusedId } from "./slugs";
import { addTrigger, changeTrigger, merged, removeTrigger } from "./triggers";

const node = (id: string, type = "data_transform", fields: Record<string, unknown> = {}): NodeDef => ({
  id,
  type,
  ...fields,
});
const edge = (source: string, target: string) => ({ source_node_id: source, target_node_id: target });

const ROUTES: Definition = {
  id: "routes",
  name: "Routes",
  nodes: [
    node("check", "data_transform", { expressions: { ok: "${input.ok}" } }),
    node("choose", "condition", {
      condition: "nodes.check.output.ok",
      true_path: "split",
      false_path: ["late"],
    }),
    node("split", "parallel", {
      branches: [{ name: "a", target_node_id: "one" }, { target_node_id: "two" }],
    }),
    node("one"),
    node("two", "script", { language: "bash", source: "echo nodes.check" }),
    node("joined", "merge", { parallel_node_id: "split" }),
    node("late", "loop", {
      loop_type: "count",
      count: 2,
      body: { nodes: [node("inner", "delay", { until: "${nodes.check.output.at}" })], edges: [] },
    }),
  ],
  edges: [edge("check", "choose"), edge("one", "joined"), edge("two", "joined")],
  output_mapping: { ok: "${nodes.check.output.ok}, nodes.check" },
};

const links = (definition: Definition) => linksOf({ nodes: definition.nodes, edges: definition.edges ?? [] });
const ends = (definition: Definition, scope: string[] = []) =>
  linksOf(graphAt(definition, scope) ?? { nodes: [], edges: [] }).map(
    ({ source, target }) => `${source}>${target}`,
  );

test("paths and branches are drawn as edges, and so is the order of nodes without edges", () => {
  expect(ends(ROUTES)).toEqual([
    "check>choose",
    "one>joined",
    "two>joined",
    "choose>split",
    "choose>late",
    "split>one",
    "split>two",
  ]);
  const chain: Definition = {
    nodes: [node("b", "job", { order_index: 2 }), node("a", "job", { order_index: 1 })],
  };
  expect(ends(chain)).toEqual(["a>b"]);
});

test("a renamed node is named so by edges, paths, branches, merges and expressions, but not in prose or scripts", () => {
  const names = { check: "look-at", split: "fork", one: "uno", late: "afterwards" };
  const after = Object.entries(names).reduce((one, [from, to]) => renameNode(one, from, to), ROUTES);
  expect(ends(after)).toEqual([
    "look-at>choose",
    "uno>joined",
    "two>joined",
    "choose>fork",
    "choose>afterwards",
    "fork>uno",
    "fork>two",
  ]);
  const by = new Map([...everyNode(after.nodes)].map((one) => [one.id, one]));
  expect(by.get("choose")?.["condition"]).toBe('nodes["look-at"].output.ok');
  expect(by.get("joined")?.["parallel_node_id"]).toBe("fork");
  expect(by.get("inner")?.["until"]).toBe('${nodes["look-at"].output.at}');
  expect(by.get("two")?.["source"]).toBe("echo nodes.check");
  expect(after["output_mapping"]).toEqual({ ok: '${nodes["look-at"].output.ok}, nodes.check' });
  expect(renameNode(after, "look-at", "check")).toEqual(
    Object.entries(names)
      .slice(1)
      .reduce((one, [from, to]) => renameNode(one, from, to), ROUTES),
  );
});

test("a name that is taken, also inside a body, or no slug, changes nothing", () => {
  expect(renameNode(ROUTES, "check", "inner")).toBe(ROUTES);
  expect(renameNode(ROUTES, "check", "Not A Slug")).toBe(ROUTES);
});

test("a removed node takes its edges, paths and branches along", () => {
  const after = removeNodes(ROUTES, [], ["split", "one", "late"]);
  expect(ends(after)).toEqual(["check>choose", "two>joined"]);
  const choose = after.nodes.find(({ id }) => id === "choose");
  expect([choose?.["true_path"], choose?.["false_path"]]).toEqual([undefined, undefined]);
});

test("connecting from a condition sets its path, from a parallel a branch, else an edge; never twice", () => {
  const truly = connect(ROUTES, [], { source: "choose", target: "late", sourceHandle: "true" });
  const choose = truly.nodes.find(({ id }) => id === "choose");
  expect([choose?.["true_path"], choose?.["false_path"]]).toEqual([["split", "late"], undefined]);
  const branched = connect(ROUTES, [], { source: "split", target: "late" });
  expect(ends(branched)).toContain("split>late");
  expect(branched.edges).toBe(ROUTES.edges);
  const ported = connect(ROUTES, [], {
    source: "one",
    target: "two",
    sourceHandle: "out:rows",
    targetHandle: "in:data",
  });
  expect(ported.edges?.at(-1)).toEqual({
    ...edge("one", "two"),
    source_output: "rows",
    target_input: "data",
  });
  expect(connect(ROUTES, [], { source: "check", target: "choose" })).toBe(ROUTES);
  expect(faultOfConnection(ROUTES, [], { source: "one", target: "one" })).toContain("itself");
});

test("removing a link removes what it came from", () => {
  const keys = links(ROUTES).map(({ key }) => key);
  for (const key of keys) {
    const after = removeLinks(ROUTES, [], [key]);
    expect(links(after).map((link) => link.key)).toEqual(keys.filter((one) => one !== key));
  }
  const chain: Definition = {
    nodes: ["a", "b", "c"].map((id, index) => node(id, "job", { order_index: index })),
  };
  expect(ends(removeLinks(chain, [], ["order:a>b"]))).toEqual(["b>c"]);
});

test("an implied edge is written when it gets a field of its own", () => {
  const after = setEdgeField(ROUTES, [], "true:choose>split", "condition", "input.x");
  expect(after.edges?.at(-1)).toEqual({ ...edge("choose", "split"), condition: "input.x" });
  expect(ends(after).filter((one) => one === "choose>split")).toHaveLength(1);
});

test("what is done in a body leaves the rest as it is", () => {
  const { definition, id } = addNode(ROUTES, ["late"], "delay", { x: 1, y: 2 });
  expect(scopeOf(definition, id)).toEqual(["late"]);
  expect(definition.nodes.slice(0, -1)).toEqual(ROUTES.nodes.slice(0, -1));
  const joined = connect(definition, ["late"], { source: "inner", target: id });
  expect(ends(joined, ["late"])).toEqual([`inner>${id}`]);
  expect(graphAt(ROUTES, ["nowhere"])).toBeNull();
});

test("pasted nodes have ids of their own, also in bodies, and name each other by them", () => {
  const graph = copied(ROUTES, [], ["choose", "late", "split"]);
  const { definition, ids } = paste(ROUTES, [], graph, { x: 40, y: 40 });
  expect(ids).toEqual(["choose-2", "split-2", "late-2"]);
  const all = [...everyNode(definition.nodes)].map(({ id }) => id);
  expect(new Set(all).size).toBe(all.length);
  expect(ends(definition)).toContain("choose-2>split-2");
  expect(ends(definition)).toContain("split-2>one");
});

test("a click adds to the right of what is selected, connected, and settles what had no place", () => {
  const places = new Map(ROUTES.nodes.map(({ id }, index) => [id, { x: index * 250, y: 0 }]));
  const got = added(ROUTES, [], "job", places, "joined", null);
  expect(ends(got.definition)).toContain("joined>job");
  expect(got.definition.nodes.every((one) => one["position"] !== undefined)).toBe(true);
  const free: Definition = { nodes: [node("if", "condition", { condition: "true" })] };
  const once = added(free, [], "job", new Map(), "if", null);
  const twice = added(once.definition, [], "job", new Map(), "if", null);
  expect(links(twice.definition).map(({ port }) => port)).toEqual(["true", "false"]);
});

test("fields are set where they stood: in `config` or beside it; common ones never inside", () => {
  const inside = node("a", "script", { config: { language: "bash" } });
  expect(withField(inside, "source", "x")).toEqual({ ...inside, config: { language: "bash", source: "x" } });
  expect(withField(inside, "timeout_ms", 5)).toEqual({ ...inside, timeout_ms: 5 });
  expect(fieldOf(withField(node("a", "script", { language: "bash" }), "language", "node"), "language")).toBe(
    "node",
  );
});

test("unused ids", () => {
  expect(unusedId("job", new Set(["job", "job-2"]))).toBe("job-3");
  const long = "a".repeat(63);
  expect(faultOfId(unusedId(long, new Set([long])))).toBeNull();
});

/** Small, repeatable randomness. */
function dice(seed: number): (sides: number) => number {
  let state = seed;
  return (sides) => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((state / 2_147_483_648) * sides);
  };
}

const TYPES = ["script", "condition", "parallel", "merge", "loop", "delay", "job", "data_transform"];

/** One thing that somebody could do next. */
function step(definition: Definition, roll: (sides: number) => number): Definition {
  const loops = [...everyNode(definition.nodes)].filter(({ type }) => type === "loop");
  const loop = loops[roll(loops.length * 2 + 1)];
  const scope = loop === undefined ? [] : [...(scopeOf(definition, loop.id) ?? []), loop.id];
  const graph = graphAt(definition, scope) ?? { nodes: [], edges: [] };
  const any = () => graph.nodes[roll(graph.nodes.length)]?.id ?? "";
  const link = () => linksOf(graph)[roll(linksOf(graph).length)]?.key ?? "";
  switch (roll(10)) {
    case 0:
    case 1:
    case 2:
      return addNode(definition, scope, TYPES[roll(TYPES.length)] ?? "job", { x: roll(900), y: roll(900) })
        .definition;
    case 3:
    case 4: {
      const connection = {
        source: any(),
        target: any(),
        sourceHandle: [null, "true", "false"][roll(3)] ?? null,
      };
      return connection.source === "" ? definition : connect(definition, scope, connection);
    }
    case 5:
      return renameNode(definition, any(), `renamed-${roll(1_000)}`);
    case 6:
      return roll(3) > 0 ? removeLinks(definition, scope, [link()]) : removeNodes(definition, scope, [any()]);
    case 7:
      return changeNode(definition, scope, any(), (one) => withField(one, "name", `n ${roll(99)}: #x`));
    case 8:
      return paste(definition, scope, copied(definition, scope, [any(), any()]), { x: 9, y: 9 }).definition;
    default:
      return roll(2) === 0
        ? moveNodes(definition, scope, new Map([[any(), { x: roll(500), y: roll(500) }]]))
        : addTrigger(definition, { id: `t-${roll(1_000_000)}`, type: "manual" });
  }
}

test(
  "whatever is done: ids are unique, edges lead to what is there, the text means the same, and all is undone",
  { timeout: 60_000 },
  () => {
    for (let seed = 1; seed <= 8; seed += 1) {
      const roll = dice(seed);
      const start = { definition: ROUTES, source: { text: print(ROUTES), definition: ROUTES } };
      let design: Design = beginDesign(start, null);
      const states = [ROUTES];
      for (let turn = 0; turn < 20; turn += 1) {
        const before = definitionOf(design);
        const frozen = JSON.stringify(before);
        design = designed(design, { do: "edit", change: (one) => step(one, roll), key: null, now: turn });
        const after = definitionOf(design);
        expect(JSON.stringify(before)).toBe(frozen);
        if (after === before) continue;
        states.push(after);
        expect(takenIds(after).size).toBe([...everyNode(after.nodes)].length);
        for (const loop of [null, ...[...everyNode(after.nodes)].filter(({ type }) => type === "loop")]) {
          const scope = loop === null ? [] : [...(scopeOf(after, loop.id) ?? []), loop.id];
          const graph = graphAt(after, scope);
          const ids = new Set(graph?.nodes.map(({ id }) => id));
          for (const one of graph?.edges ?? []) {
            expect(ids.has(one.source_node_id) && ids.has(one.target_node_id)).toBe(true);
          }
        }
        const got = read(textOfDesign(design));
        expect("definition" in got && isEqual(got.definition, after)).toBe(true);
      }
      const last = definitionOf(design);
      for (const state of [...states].reverse().slice(1)) {
        design = designed(design, { do: "undo" });
        expect(definitionOf(design)).toBe(state);
      }
      for (const state of states.slice(1)) {
        design = designed(design, { do: "redo" });
        expect(definitionOf(design)).toBe(state);
      }
      expect(definitionOf(design)).toBe(last);
    }
  },
);

test("what is typed in one field in quick succession is one step back, a pause makes two", () => {
  const start = { definition: ROUTES, source: { text: "", definition: ROUTES } };
  const type = (design: Design, name: string, now: number) =>
    designed(design, { do: "edit", change: (one) => ({ ...one, name }), key: "name", now });
  const fast = type(type(beginDesign(start, null), "A", 0), "AB", 200);
  expect(fast.history.past).toHaveLength(1);
  expect(type(fast, "ABC", 9_000).history.past).toHaveLength(2);
});

test("a text that does not parse keeps the canvas as it was, and can be mended or taken back", () => {
  const text = print(ROUTES);
  const design = beginDesign({ definition: ROUTES, source: { text, definition: ROUTES } }, null);
  const broken = designed(design, { do: "type", text: `${text}\n  - [`, now: 0 });
  expect(definitionOf(broken)).toBe(ROUTES);
  expect(broken.broken?.fault.line).toBeGreaterThan(10);
  const ignored = designed(broken, {
    do: "edit",
    change: (one) => ({ ...one, name: "x" }),
    key: null,
    now: 1,
  });
  expect(ignored).toBe(broken);
  expect(textOfDesign(designed(broken, { do: "mend" }))).toBe(text);
  const mended = designed(broken, { do: "type", text: text.replace("Routes", "Ways"), now: 2 });
  expect([mended.broken, definitionOf(mended)["name"]]).toEqual([null, "Ways"]);
});

test("undoing leaves a body that is gone, and a selection of what is gone", () => {
  const start = beginDesign(
    { definition: { nodes: [] }, source: { text: "", definition: { nodes: [] } } },
    null,
  );
  const { definition, id } = addNode({ nodes: [] }, [], "loop", { x: 0, y: 0 });
  const looped = designed(start, {
    do: "edit",
    change: () => definition,
    key: null,
    now: 0,
    select: { nodes: [id], links: [] },
  });
  const inside = designed(looped, { do: "open", scope: [id] });
  const back = designed(inside, { do: "undo" });
  expect([back.scope, back.selection.nodes]).toEqual([[], []]);
});

test("triggers come, change by what was said, and go", () => {
  const trigger = { id: "t", type: "webhook", config: { secret: ["a", "b"], filter: "true" } };
  const once = addTrigger(ROUTES, trigger);
  const changed = changeTrigger(
    once,
    0,
    (one) => merged(one, { name: "T", config: { filter: null } }) as TriggerDef,
  );
  expect(changed.triggers).toEqual([{ id: "t", type: "webhook", name: "T", config: { secret: ["a", "b"] } }]);
  expect(removeTrigger(changed, 0)).toEqual(ROUTES);
});

test("a patched text of a body keeps the comments around", () => {
  const text =
    "id: a\nname: A\nnodes:\n  - id: l\n    type: loop\n    loop_type: count\n    count: 2 # twice\n    body:\n      nodes:\n        - {id: x, type: delay} # waits\n";
  const got = read(text);
  if ("fault" in got) throw new Error(got.fault.message);
  const after = atScope(got.definition, ["l"], (graph) => ({
    nodes: [...graph.nodes, node("y", "delay")],
    edges: [edge("x", "y")],
  }));
  const printed = patched(text, got.definition, after);
  expect(printed).toContain("count: 2 # twice");
  expect(printed).toContain("# waits");
});
