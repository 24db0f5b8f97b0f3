import { expect, test } from "vitest";
import { ofWhom, whatSaid } from "./said";

test("an event says in one line what it is about", () => {
  const error = { code: "HTTP_ERROR", message: "the server answered 500" };
  expect(whatSaid("NodeFailed", { node_id: "call", error })).toBe("the server answered 500 · HTTP_ERROR");
  expect(whatSaid("NodeSkipped", { reason: "branch_lost" })).toBe("another branch won");
  expect(whatSaid("RunPaused", { before: ["ship", "invoice"] })).toBe("before ship, invoice");
  expect(whatSaid("NodeStarted", { instances_count: 2_500 })).toBe("2,500 instances");
  expect(whatSaid("NodeStarted", { worker: "w1", attempt: 2 })).toBe("on w1, attempt 2");
  expect(whatSaid("NodeProgressed", { progress: 0.62, message: "epoch 2" })).toBe("62 % · epoch 2");
  expect(whatSaid("WhateverComes", {})).toBe("");
});

test("it names the node and the instance it is about", () => {
  expect(ofWhom({ node_id: "resize", instance: "13" })).toBe("resize #13");
  expect(ofWhom({ node_id: "resize", instance: "" })).toBe("resize");
  expect(ofWhom({})).toBe("");
});
