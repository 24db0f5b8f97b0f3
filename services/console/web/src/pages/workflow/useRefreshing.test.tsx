import { fireEvent, screen, waitFor } from "@testing-library/react";
import { expect, it } from "vitest";
import { api } from "../../api/client";
import { shown } from "../../testServer";
import { useRefreshing } from "./useRefreshing";

function Watched() {
  api.useQuery("get", "/api/runs/{run_id}", { params: { path: { run_id: "r1" } } });
  api.useQuery("get", "/api/runs", { params: { query: { workflow_id: "etl" } } });
  api.useQuery("get", "/api/retention");
  api.useQuery(
    "get",
    "/api/workflows/{workflow_id}/graph",
    { params: { path: { workflow_id: "etl" }, query: { version: 1 } } },
    { staleTime: "static" },
  );
  return <button onClick={useRefreshing("etl")}>Something happened</button>;
}

it("when something happens its runs and the run on the graph are read anew, what never changes is not", async () => {
  const answer = () => ({ items: [] });
  const paths = ["/api/runs/r1", "/api/runs", "/api/retention", "/api/workflows/etl/graph"];
  const { asked } = shown(<Watched />, {
    answers: Object.fromEntries(paths.map((path) => [`GET ${path}`, answer])),
  });
  await waitFor(() => expect(asked).toHaveLength(4));
  fireEvent.click(screen.getByRole("button"));
  await waitFor(() => expect(asked.length).toBeGreaterThan(5));
  expect(asked.slice(4).map(({ path }) => path)).toEqual(["/api/runs/r1", "/api/runs"]);
});
