import { screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test } from "vitest";
import { shown } from "../../testServer";
import Trigger from "./Trigger";

const definition = {
  id: "order",
  type: "event",
  config: { event_type: "order.*", filter: "event.data.size > 10" },
  workflow_id: "orders",
  version: 1,
};
const decision = (position: number, fields: object) => ({
  trigger_id: "order",
  trigger_version: 1,
  workflow_id: "orders",
  cause: { event_id: `e${position}`, type: "order.placed", id: `o${position}`, source: "shop" },
  decision: "fired",
  reason: null,
  detail: null,
  consumed: [],
  run_id: null,
  decided_at: "2026-11-29T09:00:00Z",
  position,
  computed: false,
  ...fields,
});
const unmatched = {
  decision: "not_matched",
  reason: "event.data.size > 10 was false, event.data.size was 5",
};
const base = "/api/workflows/orders/triggers/order";
const stats = {
  workflow_id: "orders",
  trigger_id: "order",
  total: 0,
  decisions: {},
  suppressed: {},
  rejected: {},
  hours: [],
};
const answers = (items: object[]) => ({
  "GET /api/workflows/orders/triggers": () => ({ items: [definition], next_cursor: null }),
  [`GET ${base}/stats`]: () => ({ ...stats, last_decided_at: null, last_fired_at: null }),
  [`GET ${base}/decisions`]: () => ({ items, next_cursor: null }),
  "GET /api/events": () => ({ items: [], next_cursor: null }),
});
const page = { at: "/workflows/orders/triggers/order", route: "workflows/:workflowId/triggers/:triggerId" };

test("each decision says why, and leads to its cause and its run", async () => {
  const runId = "01a2269e-0f39-7f4a-8454-43d77831a9e8";
  const items = [decision(2, { run_id: runId }), decision(1, { ...unmatched, computed: true })];
  shown(<Trigger />, { ...page, answers: answers(items) });
  const [fired, not] = await screen.findAllByTestId("decision-row");
  expect(fired).toHaveAttribute("data-decision", "fired");
  expect(within(fired as HTMLElement).getByText(/^Run/)).toHaveAttribute("href", `/runs/${runId}`);
  expect(not).toHaveAttribute("data-decision", "not_matched");
  expect(not).toHaveTextContent("not fired: event.data.size > 10 was false, size was 5");
  expect(within(not as HTMLElement).getByText("order.placed")).toHaveAttribute("href", "/events/e1");
  expect(within(not as HTMLElement).getByTestId("computed")).toBeVisible();
  expect(within(fired as HTMLElement).queryByTestId("computed")).toBeNull();
});

test("the look-up of a cause and the filter by decision are asked of the server", async () => {
  const { asked } = shown(<Trigger />, {
    ...page,
    at: `${page.at}?cause=o1&decision=held`,
    answers: answers([]),
  });
  expect(await screen.findByText("No answer to such an event")).toBeVisible();
  const query = asked.find(({ path }) => path === `${base}/decisions`)?.query;
  expect([query?.get("cause"), query?.get("decision")]).toEqual(["o1", "held"]);
});

test("a viewer sees what it is and can change nothing", async () => {
  shown(<Trigger />, { ...page, role: "viewer", answers: answers([]) });
  expect(await screen.findByTestId("trigger-in-words")).toHaveTextContent(
    "It fires when an event of type order.* comes and event.data.size > 10.",
  );
  for (const name of ["Edit", "Fire by hand", "Delete the trigger"]) {
    expect(screen.queryByRole("button", { name })).toBeNull();
  }
  expect(screen.queryByRole("switch")).toBeNull();
});

test("switching it off is one patch", async () => {
  const { asked } = shown(<Trigger />, {
    ...page,
    answers: {
      ...answers([]),
      [`PATCH ${base}`]: () => ({ id: "orders", version: 2, position: 9, warnings: [] }),
    },
  });
  await userEvent.click(await screen.findByRole("switch"));
  expect(asked.find(({ method }) => method === "PATCH")).toMatchObject({
    path: base,
    body: { enabled: false },
  });
});

test("a trigger that was removed keeps its decisions", async () => {
  shown(<Trigger />, {
    ...page,
    answers: {
      ...answers([decision(1, unmatched)]),
      "GET /api/workflows/orders/triggers": () => ({ items: [], next_cursor: null }),
    },
  });
  expect(await screen.findByText(/not in the workflow/)).toBeVisible();
  expect(await screen.findAllByTestId("decision-row")).toHaveLength(1);
});
