import { expect, test } from "vitest";
import { chartOf, ticksOf, type Attempt } from "./gantt";

const second = (number: number) => `2026-11-29T12:00:0${number}.000Z`;
const whole = { from: second(0), until: Date.parse("2026-11-29T12:00:10.000Z") };

function attempt(node_id: string, fields: Partial<Attempt>): Attempt {
  return { node_id, instance: "", attempt: 1, position: 1, status: "completed", ...fields };
}

test("waiting and running are two bars, as shares of the run", () => {
  const done = attempt("a", { queued_at: second(1), started_at: second(3), completed_at: second(8) });
  const [row] = chartOf([done], whole).rows;
  expect(row?.waited).toEqual({ from: 0.1, width: 0.2 });
  expect(row?.ran).toEqual({ from: 0.3, width: 0.5 });
});

test("what is under way reaches to now, what waits for a worker is only waiting", () => {
  const { rows } = chartOf(
    [
      attempt("a", { status: "running", started_at: second(5) }),
      attempt("b", { status: "queued", queued_at: second(4) }),
    ],
    whole,
  );
  expect(rows[0]?.ran).toEqual({ from: 0.5, width: 0.5 });
  expect(rows[1]?.waited).toEqual({ from: 0.4, width: 0.6 });
  expect(rows[1]?.ran).toBeNull();
});

test("at a moment of the past, what came later is not there, and what went on ends there", () => {
  const { rows, until } = chartOf(
    [
      attempt("a", { started_at: second(1), completed_at: second(8) }),
      attempt("b", { started_at: second(6), completed_at: second(7) }),
    ],
    { ...whole, then: second(5) },
  );
  expect(rows.map(({ label }) => label)).toEqual(["a"]);
  expect(rows[0]?.ran).toEqual({ from: 0.2, width: 0.8 });
  expect(until).toBe(Date.parse(second(5)));
});

test("instances are named, and the critical path is marked", () => {
  const { rows } = chartOf([attempt("a", { instance: "3", started_at: second(1) })], {
    ...whole,
    critical: ["a"],
  });
  expect(rows[0]).toMatchObject({ label: "a #3", isCritical: true });
});

test("marks on the axis are round", () => {
  expect(ticksOf(2_769, 6)).toEqual([0, 500, 1_000, 1_500, 2_000, 2_500]);
  expect(ticksOf(90_000, 6)).toEqual([0, 15_000, 30_000, 45_000, 60_000, 75_000, 90_000]);
  expect(ticksOf(0, 6)).toEqual([0]);
});
