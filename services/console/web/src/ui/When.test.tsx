import { MantineProvider } from "@mantine/core";
import { act, render, screen } from "@testing-library/react";
import { Profiler } from "react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { useNow, When } from "./When";

beforeEach(() => vi.useFakeTimers({ now: Date.parse("2026-11-29T12:00:00Z") }));
afterEach(() => vi.useRealTimers());

test("thousands of times of a page share one clock, which ends with them", () => {
  const { unmount } = render(
    <MantineProvider env="test">
      {Array.from({ length: 50 }, (_one, index) => (
        <When key={index} at="2026-11-29T11:59:59Z" relative />
      ))}
    </MantineProvider>,
  );
  expect(vi.getTimerCount()).toBe(1);
  act(() => {
    vi.advanceTimersByTime(4_000);
  });
  expect(screen.getAllByText("5 sec. ago")).toHaveLength(50);
  unmount();
  expect(vi.getTimerCount()).toBe(0);
});

test("nothing is drawn anew while the words are the same", () => {
  let drawn = 0;
  const Hour = () => <>{useNow(true, 3_600_000)}</>;
  render(
    <MantineProvider env="test">
      <Profiler id="times" onRender={() => (drawn += 1)}>
        <When at="2026-11-29T10:30:00Z" relative />
        <Hour />
      </Profiler>
    </MantineProvider>,
  );
  const first = drawn;
  act(() => {
    vi.advanceTimersByTime(20_000);
  });
  expect(drawn).toBe(first);
  act(() => {
    vi.advanceTimersByTime(3_600_000);
  });
  expect(screen.getByText("2 hr. ago")).toBeVisible();
  expect(screen.getByText(String(Date.parse("2026-11-29T13:00:00Z")))).toBeVisible();
});
