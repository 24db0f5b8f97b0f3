import { fireEvent, render, screen } from "@testing-library/react";
import { beforeEach, expect, test } from "vitest";
import { moveInList, useListKeys } from "./keys";

function List() {
  useListKeys();
  return (
    <main id="main" tabIndex={-1}>
      <input aria-label="Search" />
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions -- as lists have it: rows hold the links */}
      <ul onKeyDown={moveInList}>
        {["one", "two"].map((name) => (
          <li key={name} data-row>
            <a href={`/${name}`}>{name}</a>
          </li>
        ))}
      </ul>
    </main>
  );
}

const press = (key: string) => fireEvent.keyDown(document.activeElement ?? document.body, { key });

beforeEach(() => void render(<List />));

test("an arrow leads into the list of the page, and on in it", () => {
  press("ArrowDown");
  expect(screen.getByText("one")).toHaveFocus();
  press("ArrowDown");
  expect(screen.getByText("two")).toHaveFocus();
  press("k");
  expect(screen.getByText("one")).toHaveFocus();
});

test("what has the focus keeps its arrows", () => {
  screen.getByLabelText("Search").focus();
  press("ArrowDown");
  press("j");
  expect(screen.getByLabelText("Search")).toHaveFocus();
});
