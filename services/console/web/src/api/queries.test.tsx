import { MantineProvider } from "@mantine/core";
import { QueryClientProvider } from "@tanstack/react-query";
import { render, screen } from "@testing-library/react";
import { MemoryRouter } from "react-router";
import { expect, test } from "vitest";
import { Pages } from "../pages";
import { server } from "../testFetch";
import { api } from "./client";
import { queries } from "./queries";

const UNKNOWN = { status: 401, detail: "nobody is logged in", code: "UNAUTHORIZED" };

test("whoever is not known any more is shown how to log in, whatever was asked for", async () => {
  let isKnown = true;
  server.answers = {
    "GET /api/session": () =>
      isKnown
        ? { user: "ada", role: "viewer", expires_at: null, auth: "session" }
        : Response.json(UNKNOWN, { status: 401 }),
    "GET /api/templates": () => Response.json(UNKNOWN, { status: 401 }),
  };
  render(
    <MantineProvider env="test">
      <QueryClientProvider client={queries}>
        <MemoryRouter initialEntries={["/nowhere"]}>
          <Pages />
        </MemoryRouter>
      </QueryClientProvider>
    </MantineProvider>,
  );
  await screen.findByRole("navigation", { name: "Main" });
  isKnown = false;
  await queries.query(api.queryOptions("get", "/api/templates", {})).catch(() => undefined);
  expect(await screen.findByText("Log in to FlowForge")).toBeVisible();
});
