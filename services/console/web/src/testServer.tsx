/* A component as the console shows it, in tests. */
import { MantineProvider } from "@mantine/core";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { render } from "@testing-library/react";
import type { ReactElement } from "react";
import { MemoryRouter, Route, Routes } from "react-router";
import { SessionContext, type Role } from "./shell/session";
import { server, type Answers, type Asked } from "./testFetch";

interface Shown {
  answers?: Answers;
  at?: string;
  route?: string;
  role?: Role;
}

/** Shows an element at an address, with the answers that the server gives; tells what was asked for. */
export function shown(
  element: ReactElement,
  { answers = {}, at = "/", route = "*", role = "admin" }: Shown = {},
): { asked: Asked[] } {
  server.answers = answers;
  server.asked = [];
  const queries = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  render(
    <MantineProvider env="test">
      <QueryClientProvider client={queries}>
        <SessionContext value={{ user: "ada", role, expires_at: null, auth: "session" }}>
          <MemoryRouter initialEntries={[at]}>
            <Routes>
              <Route path={route} element={element} />
            </Routes>
          </MemoryRouter>
        </SessionContext>
      </QueryClientProvider>
    </MantineProvider>,
  );
  return { asked: server.asked };
}
