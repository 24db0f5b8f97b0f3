import { expect, test } from "vitest";
import { typedOf, valueOf } from "../model/cells";
import type { Definition, NodeDef } from "../model/definition";
import { differences } from "../model/differences";
import { authored } from "../model/stored";
import { readField, writeField } from "../fields/spec";
import { NODE_FIELDS } from "../fields/nodes";
import { kinds } from "../../../graph/kinds";
import { asClipping, fromClipping } from "../useClipboard";
import { deedOf } from "../useKeys";
import { offer, type Mode } from "./completion";
import { cycleSteps, faultyNodes, foundIn, placeOf, saidAt, type Report } from "./findings";
import { namesFor } from "./names";
import { mapExpressions, spansOf } from "./templates";

const DEFINITION: Definition = {
  id: "a",
  nodes: [
    { id: "extract", type: "script", language: "bash", source: "x", outputs: [{ name: "rows" }] },
    { id: "my-node", type: "webhook", config: { url: "https://x", method: "GET" } },
    {
      id: "each",
      type: "loop",
      config: {
        loop_type: "count",
        body: { nodes: [{ id: "inner", type: "data_transform", expressions: { y: "${x" } }] },
      },
    },
    { id: "last", type: "sql", connection: "db", query: "select 1" },
  ],
  edges: [
    { source_node_id: "extract", target_node_id: "my-node" },
    { source_node_id: "my-node", target_node_id: "each" },
  ],
  triggers: [{ id: "t", type: "event", config: { event_type: "x" } }],
  variables: [{ name: "region", type: "string" }],
  input_schema: {
    type: "object",
    required: ["who"],
    properties: { who: { type: "string" }, n: { type: "integer", default: 3 } },
  },
};
const byId = (id: string) => DEFINITION.nodes.find((one) => one.id === id) as NodeDef;

function offered(typed: string, mode: Mode = "cel", at = typed.length, id = "each", scope: string[] = []) {
  const found = offer(
    typed,
    at,
    mode,
    namesFor(DEFINITION, scope, scope.length > 0 ? null : byId(id), "x", ["token"]),
  );
  return found === null
    ? null
    : { from: found.from, labels: found.options.map(({ label }) => label), options: found.options };
}

test("at the beginning all names that are seen are offered, and functions", () => {
  const labels = offered("")?.labels ?? [];
  expect(labels).toEqual(
    expect.arrayContaining(["input", "nodes", "variables", "run", "event", "now", "has()"]),
  );
  expect(labels).not.toContain("item");
  expect(labels).not.toContain("secrets");
});

test("items and the last turn are seen in bodies, secrets where they may be used", () => {
  expect(offered("", "cel", 0, "", ["each"])?.labels).toEqual(
    expect.arrayContaining(["item", "index", "previous"]),
  );
  expect(offered("", "cel", 0, "last")?.labels).toContain("secrets");
  expect(offered("secrets.", "cel", 8, "last")?.labels).toEqual(["token"]);
});

test("names of nodes, those before first; one with a dash takes brackets", () => {
  const got = offered("x == nodes.");
  expect(got?.options.map(({ apply, label }) => apply ?? label)).toEqual([
    ".extract",
    '["my-node"]',
    ".last",
  ]);
  expect(got?.from).toBe("x == nodes".length);
  expect(offered('nodes["my-')?.options.map(({ apply }) => apply)).toContain('["my-node"]');
});

test("outputs are known by type and by ports", () => {
  expect(offered('nodes["my-node"].output.')?.labels.slice(0, 3)).toEqual(["status", "headers", "body"]);
  expect(offered("nodes.extract.output.r")?.labels[0]).toBe("rows");
  expect(offered("nodes.extract.")?.labels).toEqual(["output", "status", "error"]);
  expect(offered("input.")?.labels.slice(0, 2)).toEqual(["who", "n"]);
  expect(offered("variables.")?.labels).toEqual(["region"]);
});

test("in templates only what stands in ${…} is completed, and nothing in quoted text", () => {
  expect(offered("hello inp", "template")).toBeNull();
  expect(offered("hello ${inp", "template")?.from).toBe(8);
  expect(offered("${input} and ", "template")).toBeNull();
  expect(offered('"inp')).toBeNull();
});

test("expressions in templates end at their own brace", () => {
  const text = "a ${ {'x': '}'}.x } b ${y";
  expect(spansOf(text).map(({ from, to, isClosed }) => [text.slice(from, to), isClosed])).toEqual([
    [" {'x': '}'}.x ", true],
    ["y", false],
  ]);
  expect(mapExpressions("${a}-${b}", (one) => one.toUpperCase())).toBe("${A}-${B}");
});

const finding = (path: string, message = "wrong", nodes: string[] = [], severity = "error") => ({
  type: "X",
  path,
  message,
  nodes,
  severity,
  suggested_resolution: "mend it",
});

test("paths of findings lead to nodes, bodies, edges, triggers and fields, `config` or not", () => {
  const place = (path: string, message = "") => {
    const { scope, kind, id, field } = placeOf(DEFINITION, { path, message });
    return [scope.join("/"), kind, id, field];
  };
  expect(place("$.nodes[1].config.url")).toEqual(["", "node", "my-node", "url"]);
  expect(place("$.nodes[1].retry_policy.delay_ms")).toEqual(["", "node", "my-node", "retry_policy.delay_ms"]);
  expect(place("$.nodes[2].config.body.nodes[0].expressions.y")).toEqual([
    "each",
    "node",
    "inner",
    "expressions.y",
  ]);
  expect(place("$.nodes[2].body.edges[1].condition")).toEqual(["each", "edge", "1", "condition"]);
  expect(place("$.edges[1]")).toEqual(["", "edge", "1", ""]);
  expect(place("$.triggers[0].config.filter")).toEqual(["", "trigger", "0", "config.filter"]);
  expect(place("$.settings.timeout_ms")).toEqual(["", "workflow", "", "settings.timeout_ms"]);
  expect(place("$.nodes[0]", "Object missing required field `job_type`")).toEqual([
    "",
    "node",
    "extract",
    "job_type",
  ]);
});

const REPORT: Report = {
  is_valid: false,
  errors: [
    finding("$.nodes[2].config.body.nodes[0].expressions.y"),
    finding("$.nodes[1].config.url", "no address"),
    finding("$.edges[0]", "cycle", ["extract", "my-node"]),
  ],
  warnings: [finding("$.nodes[3]", "alone", ["last"], "warning")],
  circular_dependencies: [["extract", "my-node"]],
  unreachable_nodes: [],
  orphaned_nodes: ["last"],
};

test("nodes with errors, with faulty bodies and in cycles are marked, those with warnings are not", () => {
  const found = foundIn(DEFINITION, REPORT);
  expect([...faultyNodes(found, REPORT, [])].sort()).toEqual(["each", "extract", "my-node"]);
  expect(faultyNodes(found, REPORT, ["each"]).has("inner")).toBe(true);
  expect([...cycleSteps(REPORT)]).toEqual(["extract>my-node", "my-node>extract"]);
  expect(saidAt(found, "node", "my-node", "url")).toBe("no address: mend it");
  expect(saidAt(found, "node", "inner", "expressions")).toBe("wrong: mend it");
  expect(saidAt(found, "node", "my-node", "")).toBeNull();
});

test("cells: what looks like JSON is that, everything else text, and back", () => {
  expect(["5", "true", '"5"', "[1]", "{a", "${x}", "hello", ""].map(valueOf)).toEqual([
    5,
    true,
    "5",
    [1],
    "{a",
    "${x}",
    "hello",
    "",
  ]);
  for (const value of [5, "5", true, "true", null, "null", { a: [1] }, "[1]", "${x}", ""]) {
    expect(valueOf(typedOf(value))).toEqual(value);
  }
});

test("fields are read and written deep; what is empty or the default is not written", () => {
  const node: NodeDef = { id: "a", type: "job", retry_policy: { max_attempts: 3, delay_ms: 5 } };
  expect(readField(node, "retry_policy.delay_ms")).toBe(5);
  const less = writeField(
    writeField(node, "retry_policy.delay_ms", ""),
    "retry_policy.max_attempts",
    undefined,
  );
  expect(less).toEqual({ id: "a", type: "job" });
  expect(writeField(node, "queue", "default", "default")).toEqual(node);
  expect(writeField({ id: "a", type: "job", config: { job_type: "x" } }, "payload.n", 1)).toEqual({
    id: "a",
    type: "job",
    config: { job_type: "x", payload: { n: 1 } },
  });
});

test("every node type has its panel", () => {
  expect(Object.keys(NODE_FIELDS).sort()).toEqual(Object.keys(kinds).sort());
});

test("differences name paths by ids, whatever the order", () => {
  const after = structuredClone(DEFINITION);
  after.nodes.reverse();
  after.nodes[0] = { id: "last", type: "sql", connection: "db", query: "select 2" };
  after["tags"] = ["x"];
  expect(differences(DEFINITION, after)).toEqual([
    { path: "nodes.last.query", before: "select 1", after: "select 2" },
    { path: "tags", before: undefined, after: ["x"] },
  ]);
  expect(differences(DEFINITION, structuredClone(DEFINITION))).toEqual([]);
});

test("a workflow as it is read becomes what somebody would write", () => {
  const view = {
    ...DEFINITION,
    description: "",
    experiment_id: null,
    status: "active",
    settings: { max_parallel_jobs: 5, fail_fast: true, timeout_ms: null, recovery: {}, concurrency: null },
    trigger_configs: [{ trigger_type: "TRAIN", is_enabled: false }],
    triggers: [{ id: "t", type: "manual", name: "", enabled: true, config: {} }],
    version: 3,
    created_at: "2026-11-29T09:00:00Z",
    updated_at: "2026-11-29T09:00:00Z",
    created_by: "local",
  };
  expect(authored(view)).toEqual({ ...DEFINITION, triggers: [{ id: "t", type: "manual" }] });
  const used = { ...view, status: "draft", settings: { ...view.settings, fail_fast: false } };
  expect(authored(used)).toMatchObject({ status: "draft", settings: { fail_fast: false } });
});

test("what is copied can be pasted from its text; other texts are no nodes", () => {
  const graph = { nodes: DEFINITION.nodes.slice(0, 2), edges: DEFINITION.edges?.slice(0, 1) ?? [] };
  const back = fromClipping(asClipping(graph));
  expect(back?.edges).toEqual(graph.edges);
  expect(back?.nodes.map(({ id }) => id)).toEqual(["extract", "my-node"]);
  expect(back?.nodes.every((node) => node["position"] !== undefined)).toBe(true);
  expect(fromClipping(JSON.stringify(graph))?.nodes).toHaveLength(2);
  expect(fromClipping("just words about nodes")).toBeNull();
});

test("keys", () => {
  const key = (name: string, fields = {}) =>
    deedOf({ key: name, ctrlKey: false, metaKey: false, shiftKey: false, ...fields });
  expect(key("z")).toBeNull();
  expect(key("z", { ctrlKey: true })).toBe("undo");
  expect(key("Z", { ctrlKey: true, shiftKey: true })).toBe("redo");
  expect(key("s", { metaKey: true })).toBe("save");
  expect(key("Delete")).toBe("remove");
});
