import { expect, test } from "vitest";
import { connect, setEdgeField } from "../model/edges";
import { addNode, changeNode, moveNodes, removeNodes, renameNode } from "../model/nodes";
import type { Definition } from "../model/definition";
import { patched } from "./patch";
import { print } from "./print";
import { locate, read } from "./read";

const TEXT = `# the daily one
id: daily # its name in addresses
name: Daily report
tags: [etl, daily]

nodes:
  # reads what came
  - id: extract
    type: script
    language: bash
    source: |
      echo one # not a comment of YAML
      echo two

  - id: report   # for the team
    type: data_transform
    expressions:
      rows: "\${nodes.extract.output.rows}" # counted before

edges:
  - {source_node_id: extract, target_node_id: report} # in order
`;

function definitionOf(text: string): Definition {
  const got = read(text);
  if ("fault" in got) throw new Error(got.fault.message);
  return got.definition;
}

function afterChange(change: (definition: Definition) => Definition): string {
  const before = definitionOf(TEXT);
  const after = change(before);
  const text = patched(TEXT, before, after);
  expect(definitionOf(text)).toEqual(JSON.parse(JSON.stringify(after)));
  return text;
}

test("a text without a change is the same text", () => {
  const definition = definitionOf(TEXT);
  expect(patched(TEXT, definition, definition)).toBe(TEXT);
});

test("comments survive a changed field, a move and a new node", () => {
  const text = afterChange((before) => {
    const named = changeNode(before, [], "report", (node) => ({ ...node, name: "The report" }));
    const moved = moveNodes(named, [], new Map([["extract", { x: 10.4, y: 20 }]]));
    const { definition } = addNode(moved, [], "delay", { x: 0, y: 0 });
    return connect(definition, [], { source: "report", target: "delay" });
  });
  for (const comment of [
    "# the daily one",
    "# its name in addresses",
    "# reads what came",
    "# for the team",
  ]) {
    expect(text).toContain(comment);
  }
  expect(text).toContain("# counted before");
  expect(text).toContain("# in order");
  expect(text).toContain("position: {x: 10, y: 20}");
  expect(text).toContain("  - {source_node_id: report, target_node_id: delay}");
  expect(text).toContain("echo one # not a comment of YAML\n      echo two");
});

test("a renamed node keeps its comments, and its edge too", () => {
  const text = afterChange((before) => renameNode(before, "extract", "read-it"));
  expect(text).toContain("# reads what came\n  - id: read-it");
  expect(text).toContain("{source_node_id: read-it, target_node_id: report} # in order");
  expect(text).toContain('nodes[\\"read-it\\"].output.rows}" # counted before');
});

test("removing and changing edges leaves the rest as it was", () => {
  const without = afterChange((before) => removeNodes(before, [], ["report"]));
  expect(without).toContain("# reads what came");
  expect(without).not.toContain("report:");
  const key = "edge:extract>report";
  const failing = afterChange((before) => setEdgeField(before, [], key, "dependency", "on_failure"));
  expect(failing).toContain(
    "{source_node_id: extract, target_node_id: report, dependency: on_failure} # in order",
  );
});

test("what aliases make ambiguous is printed anew, with the right meaning", () => {
  const text = `id: a\nname: A\nnodes:\n  - {id: x, type: job, retry_policy: &r {max_attempts: 3}}\n  - {id: y, type: job, retry_policy: *r}\n`;
  const before = definitionOf(text);
  const after = changeNode(before, [], "x", (node) => ({ ...node, retry_policy: { max_attempts: 9 } }));
  const got = definitionOf(patched(text, before, after));
  expect(got.nodes.map((node) => node["retry_policy"])).toEqual([{ max_attempts: 9 }, { max_attempts: 3 }]);
});

test("a printed definition reads as itself, the important first", () => {
  const definition: Definition = {
    edges: [{ source_node_id: "a", target_node_id: "b" }],
    nodes: [
      { position: { x: 1, y: 2 }, type: "script", id: "a", language: "bash", source: "one\ntwo\n" },
      { id: "b", type: "data_transform", expressions: { yes: "yes", no: "null", n: 1, t: "1" } },
    ],
    name: "A",
    id: "a",
  };
  const text = print(definition);
  expect(text.startsWith("id: a\nname: A\n\nnodes:\n  - id: a\n    type: script\n")).toBe(true);
  expect(text).toContain("source: |\n      one\n      two\n");
  expect(text).toContain("  - {source_node_id: a, target_node_id: b}");
  expect(definitionOf(text)).toEqual(definition);
});

test("a fault is told with its line; a text that is no definition says what is missing", () => {
  const broken = read("id: a\nnodes:\n  - {id: x, type: job\n");
  expect("fault" in broken && broken.fault.line).toBeGreaterThanOrEqual(3);
  const twice = read("id: a\nid: b\nnodes: []\n");
  expect("fault" in twice && twice.fault.line).toBe(2);
  const noType = read("id: a\nnodes:\n  - {id: x}\n");
  expect("fault" in noType && noType.fault.line).toBe(3);
  expect("fault" in noType && noType.fault.message).toContain("node 1 needs an id and a type");
  expect("fault" in read("just words")).toBe(true);
});

test("a path of a finding leads to its place in the text, or as far as it goes", () => {
  const [rows, missing] = locate(TEXT, ["$.nodes[1].expressions.rows", "$.nodes[0].config.image"]);
  expect(TEXT.slice(rows?.from, rows?.to)).toBe('"${nodes.extract.output.rows}"');
  expect(TEXT.slice(missing?.from, missing?.to)).toBe("id: extract");
});
