import { fireEvent, screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { useState } from "react";
import { expect, test } from "vitest";
import { shown } from "../testServer";
import { blank, readTrigger, type Trigger } from "./trigger";
import { named, TriggerForm } from "./TriggerForm";

const nothing = { items: [], next_cursor: null };
const answers = { "GET /api/events": () => nothing, "GET /api/workflows": () => nothing };

function Form({
  first,
  takenIds = [],
  isNew = true,
}: {
  first: Trigger;
  takenIds?: string[];
  isNew?: boolean;
}) {
  const [value, setValue] = useState(first);
  return (
    <TriggerForm value={value} onChange={setValue} isNew={isNew} takenIds={takenIds} workflowId={null} />
  );
}

const write = (field: HTMLElement, value: string) => fireEvent.change(field, { target: { value } });
const words = () => within(screen.getByTestId("trigger-in-words"));

test("the id follows the name until it is written by hand", () => {
  shown(<Form first={blank("manual")} takenIds={["by-me"]} />, { answers });
  write(screen.getByLabelText("Name"), "By me");
  expect(screen.getByLabelText("Id")).toHaveValue("by-me-2");
  write(screen.getByLabelText("Id"), "mine");
  write(screen.getByLabelText("Name"), "By me too");
  expect(screen.getByLabelText("Id")).toHaveValue("mine");
});

test("an id that is taken or no slug is said to be wrong", () => {
  shown(<Form first={blank("manual")} takenIds={["taken"]} />, { answers });
  write(screen.getByLabelText("Id"), "taken");
  expect(screen.getByText(/Another trigger/)).toBeVisible();
  write(screen.getByLabelText("Id"), "taken Ü");
  expect(screen.getByText(/Small letters/)).toBeVisible();
});

test("each type has fields of its own, and says what it does", async () => {
  shown(<Form first={blank("event")} />, { answers });
  write(screen.getByRole("combobox", { name: /Type of event/ }), "order.placed");
  expect(words().getByText("order.placed")).toBeVisible();
  await userEvent.click(screen.getByTestId("trigger-type-schedule"));
  write(screen.getByLabelText(/^Cron/), "30 9 * * 1-5");
  expect(words().getByText(/Monday to Friday at 09:30/)).toBeVisible();
  await userEvent.click(screen.getByTestId("trigger-type-webhook"));
  await userEvent.click(screen.getByRole("button", { name: "Make one" }));
  expect(screen.getByText(/^whsec_/)).toBeVisible();
});

test("of a trigger that is there neither id nor type can be changed", () => {
  const first = readTrigger({ id: "nightly", type: "schedule", config: { every_ms: 60_000 } });
  shown(<Form first={first} isNew={false} />, { answers });
  expect(screen.getByLabelText("Id")).toHaveAttribute("readonly");
  expect(screen.queryByTestId("trigger-type-event")).toBeNull();
  expect(screen.getByRole("textbox", { name: /^Every/ })).toHaveValue("1 min");
});

test("a trigger without an id gets one of its name or its type", () => {
  expect(named(blank("webhook"), ["webhook"]).id).toBe("webhook-2");
  expect(named({ ...blank("event"), name: "Large orders" }, []).id).toBe("large-orders");
});
