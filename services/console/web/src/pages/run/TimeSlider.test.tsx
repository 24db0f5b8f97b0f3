import { MantineProvider } from "@mantine/core";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { cleanup, render, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { MemoryRouter, useLocation } from "react-router";
import { afterEach, expect, test } from "vitest";
import type { LoggedEvent } from "../../api/live";
import { NO_MOMENTS, withEvents } from "./moments";
import { TimeSlider } from "./TimeSlider";
import { useTravel } from "./useMoment";

function event(version: number): LoggedEvent {
  return {
    version,
    position: version * 10,
    type: "NodeStarted",
    recorded_at: "2026-11-29T12:00:00Z",
    data: { node_id: `node-${version}` },
    event_id: "",
    stream: "",
    correlation_id: null,
    causation_id: null,
    actor: null,
  };
}

afterEach(cleanup);

const moments = withEvents(NO_MOMENTS, [1, 2, 3, 4].map(event));
const want = () => undefined;

function Travelled() {
  const travel = useTravel("a-run", moments, want);
  return (
    <>
      <TimeSlider travel={travel} moments={moments} asOf={undefined} />
      <code data-testid="address">{useLocation().search}</code>
    </>
  );
}

function open(address: string) {
  const queries = new QueryClient({ defaultOptions: { queries: { enabled: false, retry: false } } });
  render(
    <QueryClientProvider client={queries}>
      <MantineProvider>
        <MemoryRouter initialEntries={[address]}>
          <Travelled />
        </MemoryRouter>
      </MantineProvider>
    </QueryClientProvider>,
  );
}

test("an arrow key goes one event back, and the address names the moment", async () => {
  open("/runs/a-run");
  expect(screen.queryByTestId("past")).toBeNull();
  screen.getByRole("slider").focus();
  await userEvent.keyboard("{ArrowLeft}");
  await waitFor(() => expect(screen.getByRole("status")).toHaveTextContent("event 3 of 4"));
  expect(screen.getByTestId("address")).toHaveTextContent("?at=30");
  expect(screen.getByTestId("past")).toHaveTextContent("NodeStarted node-3");
});

test("a moment in the address is shown as the past, and the button leads back to now", async () => {
  open("/runs/a-run?at=25&node=a");
  expect(screen.getByTestId("past")).toHaveTextContent("event 2 of 4");
  await userEvent.click(screen.getByRole("button", { name: "Now" }));
  await waitFor(() => expect(screen.queryByTestId("past")).toBeNull());
  expect(screen.getByTestId("address")).toHaveTextContent("?node=a");
});

test("at the first event there is no way back", () => {
  open("/runs/a-run?at=10");
  expect(screen.getByRole("button", { name: "One event back" })).toBeDisabled();
  expect(screen.getByRole("button", { name: "One event on" })).toBeEnabled();
});

test("what is no position is now", () => {
  open("/runs/a-run?at=yesterday");
  expect(screen.queryByTestId("past")).toBeNull();
});
