import { parse } from "yaml";
import { describe, expect, it } from "vitest";
import { plain, toYaml } from "./plain";

const read = {
  id: "orders",
  name: "Orders",
  description: "",
  experiment_id: null,
  tags: [],
  status: "active",
  variables: [{ name: "region", type: "string", default_value: "eu", description: "" }],
  input_schema: null,
  output_mapping: null,
  settings: { max_parallel_jobs: 5, fail_fast: true, timeout_ms: null, sla_ms: 900, recovery: {} },
  nodes: [{ id: "a", type: "job", job_type: "extract", payload: null }],
  edges: [{ source_node_id: "a", target_node_id: "b", dependency: null, condition: "input.n > 1" }],
  triggers: [{ name: "", enabled: true, config: {}, id: "by-hand", type: "manual" }],
  trigger_configs: [
    { trigger_type: "TRAIN", is_enabled: false },
    { trigger_type: "EVAL", is_enabled: false },
  ],
  version: 3,
  created_at: "2026-01-31T12:00:00Z",
  updated_at: "2026-01-31T12:00:00Z",
  created_by: "ada",
};

describe("a definition as its author would write it", () => {
  it("has neither what the server knows nor what is so by itself", () => {
    expect(plain(read)).toEqual({
      id: "orders",
      name: "Orders",
      variables: [{ name: "region", default_value: "eu" }],
      settings: { sla_ms: 900 },
      nodes: [{ id: "a", type: "job", job_type: "extract", payload: null }],
      edges: [{ source_node_id: "a", target_node_id: "b", condition: "input.n > 1" }],
      triggers: [{ id: "by-hand", type: "manual" }],
    });
  });

  it("keeps what differs from its default", () => {
    const told = plain({
      ...read,
      status: "draft",
      settings: { fail_fast: false, max_parallel_jobs: 8 },
      triggers: [{ id: "t", type: "manual", enabled: false }],
      trigger_configs: [{ trigger_type: "TRAIN", is_enabled: true }],
    });
    expect(told).toMatchObject({
      status: "draft",
      settings: { fail_fast: false, max_parallel_jobs: 8 },
      triggers: [{ enabled: false }],
      trigger_configs: [{ trigger_type: "TRAIN", is_enabled: true }],
    });
  });

  it("begins with the id, and says a trigger's type before its settings", () => {
    const told = plain(read);
    expect(Object.keys(told)[0]).toBe("id");
    expect(Object.keys((told["triggers"] as object[])[0] ?? {})).toEqual(["id", "type"]);
  });

  it("is the same once more made plain", () => {
    expect(plain(plain(read))).toEqual(plain(read));
  });

  it("comes back from its YAML as it was, multi-line text and templates too", () => {
    const definition = plain({
      ...read,
      nodes: [
        {
          id: "s",
          type: "script",
          source: "echo one\necho 'two: three'\n",
          env: { A: "${variables.region}" },
        },
      ],
    });
    expect(parse(toYaml(definition))).toEqual(definition);
    expect(toYaml(definition)).toContain("source: |");
  });

  it("passes over what is no object where one is expected", () => {
    expect(plain({ id: "x", nodes: ["odd"], edges: "odd" })).toEqual({
      id: "x",
      nodes: ["odd"],
      edges: "odd",
    });
  });
});
