import { expect, test } from "vitest";
import { AS_IT_WAS, forkBody } from "./forking";

test("a fork without changes has the moment only", () => {
  const { body } = forkBody({ ...AS_IT_WAS, at: 41 });
  expect(body?.at).toBe(41);
  expect(body?.changes).toMatchObject({
    input_data: null,
    variables: {},
    node_outputs: {},
    version: null,
    shadow: false,
  });
});

test("what is typed is read as JSON", () => {
  const { body } = forkBody({
    ...AS_IT_WAS,
    at: null,
    input: '{"a": 1}',
    outputs: [{ nodeId: "extract", json: "[1]" }],
    version: "latest",
    isShadow: true,
  });
  expect(body?.changes).toMatchObject({
    input_data: { a: 1 },
    node_outputs: { extract: [1] },
    version: "latest",
    shadow: true,
  });
});

test("each fault stands at its field", () => {
  const { faults } = forkBody({
    ...AS_IT_WAS,
    at: null,
    input: "{",
    variables: "[]",
    outputs: [{ nodeId: "a", json: "x" }],
    version: "1.5",
  });
  expect(Object.keys(faults ?? {}).sort()).toEqual(["input", "output a", "variables", "version"]);
});
