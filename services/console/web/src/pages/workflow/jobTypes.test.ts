import { expect, it } from "vitest";
import type { Schemas } from "../../api/client";
import { changed } from "./jobTypes";

const six = ["TRAIN", "DOWNLOAD_MODEL", "LOAD_MODEL", "EXPORT_MODEL", "EVAL", "GENERATE"].map(
  (trigger_type) => ({
    trigger_type,
  }),
);
const configs = [
  { trigger_type: "EVAL", is_enabled: true, on_failure: true },
  { trigger_type: "TRAIN", is_enabled: false },
] as Schemas["TriggerConfig"][];

it("names each of the six once, changes one, and keeps what the others say", () => {
  const told = changed(configs, six, "TRAIN", true);
  expect(told.map(({ trigger_type }) => trigger_type)).toEqual(six.map(({ trigger_type }) => trigger_type));
  expect(told.filter(({ is_enabled }) => is_enabled).map(({ trigger_type }) => trigger_type)).toEqual([
    "TRAIN",
    "EVAL",
  ]);
  expect(told.find(({ trigger_type }) => trigger_type === "EVAL")).toHaveProperty("on_failure", true);
});
