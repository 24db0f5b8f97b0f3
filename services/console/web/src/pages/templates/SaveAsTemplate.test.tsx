import { fireEvent, screen, waitFor } from "@testing-library/react";
import { expect, it } from "vitest";
import { shown } from "../../testServer";
import { SaveAsTemplate } from "./SaveAsTemplate";

const save = (start: { id?: string; name: string; description: string }) =>
  shown(
    <SaveAsTemplate
      start={start}
      of={{ workflow_id: "etl", version: 3 }}
      variables={["region"]}
      onClose={() => undefined}
    />,
    { answers: { "POST /api/templates": () => ({ id: "etl", position: 1 }) } },
  );

it("a template's id follows its name, until somebody chooses one", () => {
  save({ name: "Daily", description: "" });
  fireEvent.change(screen.getByLabelText(/^Name/), { target: { value: "Daily report" } });
  expect(screen.getByLabelText<HTMLInputElement>(/^Id/).value).toBe("daily-report");
  fireEvent.change(screen.getByLabelText(/^Id/), { target: { value: "mine" } });
  fireEvent.change(screen.getByLabelText(/^Name/), { target: { value: "Other" } });
  expect(screen.getByLabelText<HTMLInputElement>(/^Id/).value).toBe("mine");
});

it("what is wrong with its id is said, and it is not sent", async () => {
  const { asked } = save({ id: "etl", name: "ETL", description: "shows it" });
  fireEvent.change(screen.getByLabelText(/^Id/), { target: { value: "No Id" } });
  fireEvent.click(screen.getByRole("button", { name: "Save" }));
  expect(await screen.findByText(/Small letters/)).toBeInTheDocument();
  expect(asked).toEqual([]);
  fireEvent.change(screen.getByLabelText(/^Id/), { target: { value: "etl-2" } });
  fireEvent.click(screen.getByRole("button", { name: "Save" }));
  await waitFor(() => expect(asked).toHaveLength(1));
  expect(asked[0]?.body).toEqual({
    ...{ id: "etl-2", name: "ETL", description: "shows it", category: "" },
    ...{ workflow_id: "etl", version: 3 },
  });
});
