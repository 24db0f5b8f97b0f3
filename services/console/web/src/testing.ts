import "@testing-library/jest-dom/vitest";
import "./testFetch";
import { cleanup, configure } from "@testing-library/react";
import { afterEach } from "vitest";

/** Machines that do something else besides are slow. */
configure({ asyncUtilTimeout: 10_000 });
afterEach(cleanup);

/* What the browser has and jsdom lacks. */
window.matchMedia = (query) =>
  ({
    matches: false,
    media: query,
    addEventListener: () => undefined,
    removeEventListener: () => undefined,
    addListener: () => undefined,
    removeListener: () => undefined,
  }) as unknown as MediaQueryList;

class NoObserver {
  observe() {}
  unobserve() {}
  disconnect() {}
}
window.ResizeObserver = NoObserver;
Object.defineProperty(document, "fonts", { value: new EventTarget(), configurable: true });
