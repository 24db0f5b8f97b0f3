import { expect, test } from "vitest";
import { bodyOf } from "./bodies";

test("JSON is read", () => {
  expect(bodyOf('{"a":1}', "utf-8")).toEqual({ value: { a: 1 }, isJson: true, text: '{"a":1}' });
  expect(bodyOf(btoa('{"a":1}'), "base64").value).toEqual({ a: 1 });
});

test("what is no JSON stays text, and what is no text stays as it was written", () => {
  expect(bodyOf("{broken", "utf-8")).toMatchObject({ isJson: false, text: "{broken" });
  expect(bodyOf("//79", "base64")).toMatchObject({ isJson: false, text: "//79" });
});
