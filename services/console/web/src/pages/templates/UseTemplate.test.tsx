import { fireEvent, screen } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { shown } from "../../testServer";
import { UseTemplate } from "./UseTemplate";

const answers = {
  "GET /api/templates/process": () => ({
    id: "process",
    name: "Process",
    description: "",
    parameters: [{ name: "files", type: "array", default_value: ["a.csv"] }],
    definition: { nodes: [], edges: [] },
  }),
  "GET /api/workflow-activity": () => ({ items: [], next_cursor: null }),
};

describe("a workflow made of a template", () => {
  it("is not made while one of its parameters cannot be read", async () => {
    const { asked } = shown(<UseTemplate templateId="process" onClose={() => undefined} />, { answers });
    const files = await screen.findByLabelText("files");
    const make = screen.getByTestId<HTMLButtonElement>("create-and-run");
    expect(make.disabled).toBe(false);
    fireEvent.change(files, { target: { value: '["b.csv"' } });
    expect(make.disabled).toBe(true);
    expect(asked.every(({ method }) => method === "GET")).toBe(true);
    fireEvent.change(files, { target: { value: '["b.csv"]' } });
    expect(make.disabled).toBe(false);
  });

  it("says to somebody who may not make one, which role may", async () => {
    shown(<UseTemplate templateId="process" onClose={() => undefined} />, { answers, role: "viewer" });
    expect(await screen.findByText(/role of an editor/)).toBeTruthy();
  });
});
