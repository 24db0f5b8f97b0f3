import { MantineProvider } from "@mantine/core";
import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { MemoryRouter } from "react-router";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Broken } from "./Broken";

let isBroken = true;

function Fragile() {
  if (isBroken) throw new Error("of what is not there");
  return <p>whole</p>;
}

function shown(address: string) {
  return (
    <MantineProvider>
      <MemoryRouter>
        <Broken address={address}>
          <Fragile />
        </Broken>
      </MemoryRouter>
    </MantineProvider>
  );
}

beforeEach(() => {
  isBroken = true;
  vi.spyOn(console, "error").mockImplementation(() => undefined);
});
afterEach(() => vi.restoreAllMocks());

test("a page that throws says so in its place, and can be tried again", async () => {
  render(shown("/a"));
  expect(screen.getByRole("heading", { name: "This page broke" })).toBeVisible();
  expect(screen.getByText("of what is not there")).toBeVisible();
  isBroken = false;
  await userEvent.click(screen.getByRole("button", { name: "Try again" }));
  expect(screen.getByText("whole")).toBeVisible();
});

test("another address is another page", () => {
  const { rerender } = render(shown("/a"));
  isBroken = false;
  rerender(shown("/b"));
  expect(screen.getByText("whole")).toBeVisible();
});
