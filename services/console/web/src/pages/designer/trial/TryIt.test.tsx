import { fireEvent, screen } from "@testing-library/react";
import { expect, it, vi } from "vitest";
import { shown } from "../../../testServer";
import type { Definition } from "../model/definition";
import { TryIt } from "./TryIt";

const definition: Definition = {
  nodes: [],
  input_schema: {
    required: ["who"],
    properties: { who: { type: "string" }, n: { type: "integer", default: 3 } },
  },
};

function tried(isFaulty = false) {
  const onRun = vi.fn<(input: unknown) => void>();
  const rest = { savesAs: null, isBusy: false, onClose: () => undefined };
  shown(<TryIt definition={definition} isFaulty={isFaulty} onRun={onRun} {...rest} />);
  return onRun;
}

it("a trial begins with the defaults of its schema, and asks for what must be there", () => {
  const onRun = tried();
  fireEvent.submit(screen.getByTestId("try-it"));
  expect(screen.getByText("Please fill in: who.")).toBeInTheDocument();
  fireEvent.change(screen.getByLabelText(/who/), { target: { value: "Ada" } });
  fireEvent.submit(screen.getByTestId("try-it"));
  expect(onRun.mock.calls).toEqual([[{ who: "Ada", n: 3 }]]);
});

it("what has faults is not tried, by Enter neither", () => {
  const onRun = tried(true);
  fireEvent.change(screen.getByLabelText(/who/), { target: { value: "Ada" } });
  fireEvent.submit(screen.getByTestId("try-it"));
  expect(onRun).not.toHaveBeenCalled();
});
