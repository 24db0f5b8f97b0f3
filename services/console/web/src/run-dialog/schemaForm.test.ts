import { describe, expect, it } from "vitest";
import { fieldsOf, initialValues, inputOf, missing, parsed } from "./schemaForm";

const schema = {
  type: "object",
  required: ["customer", "urgent"],
  properties: {
    customer: { type: "string", title: "Customer", description: "who" },
    amount: { type: "number", default: 10 },
    pieces: { type: "integer" },
    urgent: { type: "boolean" },
    size: { enum: ["small", "large"] },
  },
};

describe("a form for a schema", () => {
  it("has a field for each single value", () => {
    const fields = fieldsOf(schema);
    expect(fields?.map(({ label, kind, isRequired }) => [label, kind, isRequired])).toEqual([
      ["Customer", "text", true],
      ["amount", "number", false],
      ["pieces", "integer", false],
      ["urgent", "boolean", true],
      ["size", "choice", false],
    ]);
  });

  it.each([
    ["no schema", null],
    ["an array", { type: "array", items: {} }],
    ["an object of objects", { properties: { a: { type: "object" } } }],
    ["alternatives", { properties: { a: { type: "string" } }, oneOf: [] }],
    ["choices that are no texts", { properties: { a: { enum: [1, "b"] } } }],
    ["no fields", { type: "object", properties: {} }],
  ])("is not made for %s: that is written as JSON", (_name, of) => {
    expect(fieldsOf(of)).toBeNull();
  });

  it("begins with the defaults and leaves out what stays empty", () => {
    const fields = fieldsOf(schema) ?? [];
    expect(inputOf(fields, initialValues(fields))).toEqual({ amount: 10, urgent: false });
    expect(inputOf(fields, { ...initialValues(fields), customer: "Ada", amount: 0 })).toEqual({
      customer: "Ada",
      amount: 0,
      urgent: false,
    });
  });

  it("names what must be filled in still", () => {
    const fields = fieldsOf(schema) ?? [];
    expect(missing(fields, initialValues(fields))).toEqual(["Customer"]);
  });
});

describe("JSON as it is typed", () => {
  it("is an empty object where nothing is written", () => {
    expect(parsed("  ")).toEqual({ value: {} });
  });
  it("is said to be none where it is none", () => {
    expect(parsed("{a: 1}")).toHaveProperty("fault");
    expect(parsed('{"a": 1}')).toEqual({ value: { a: 1 } });
  });
});
