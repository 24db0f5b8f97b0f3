import { fireEvent, screen, waitFor } from "@testing-library/react";
import { expect, it } from "vitest";
import { shown } from "../../testServer";
import DeadLetters from "./DeadLetters";

function letter(id: string) {
  return {
    id,
    service: "execution",
    subject: `flowforge.jobs.${id}`,
    reason: `bad ${id}`,
    status: "open",
    quarantined_at: "2026-01-05T03:00:00Z",
    body: "",
    body_encoding: "utf-8",
    deliveries: 3,
    failures: 1,
    retries: 0,
    retried_by: null,
    retried_at: null,
  };
}

const ALL = ["a", "b", "c"];

async function retriedAll(refusals: Record<string, () => Response>) {
  const { asked } = shown(<DeadLetters />, {
    answers: {
      "GET /api/dead-letters": () => ({ items: ALL.map(letter), next_cursor: null }),
      ...Object.fromEntries(
        ALL.map((id) => [`POST /api/dead-letters/${id}/retry`, refusals[id] ?? (() => ({ position: 7 }))]),
      ),
    },
  });
  fireEvent.click(await screen.findByLabelText("All 3 open ones shown"));
  fireEvent.click(screen.getByTestId("retry-chosen"));
  await waitFor(() => expect(screen.getByTestId("retry-chosen")).not.toHaveAttribute("data-loading"));
  const boxes = screen.getAllByLabelText<HTMLInputElement>(/^Choose the message/);
  return {
    tried: asked.filter(({ method }) => method === "POST").map(({ path }) => path.split("/")[3]),
    chosen: ALL.filter((_, place) => boxes[place]?.checked),
  };
}

const refused = (status: number) => () => Response.json({ title: "No", detail: "no" }, { status });

it("one that is refused keeps no other from its turn, and stays chosen", async () => {
  expect(await retriedAll({ b: refused(409) })).toEqual({ tried: ["a", "b", "c"], chosen: ["b"] });
});

it("where nobody answers the rest is left, and stays chosen", async () => {
  expect(await retriedAll({ b: refused(503) })).toEqual({ tried: ["a", "b"], chosen: ["b", "c"] });
});

it("where all are taken up none stays chosen", async () => {
  expect(await retriedAll({})).toEqual({ tried: ["a", "b", "c"], chosen: [] });
});
