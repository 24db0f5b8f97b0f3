/* The one way to FlowForge: typed by the description that the server's own code generates. */
import createFetch, { type Middleware } from "openapi-fetch";
import createQueries from "openapi-react-query";
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];
export type ProblemBody = Partial<Schemas["Problem"]>;

/** An answer that is none: what the server said about it (RFC 9457), or that it did not answer. */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly title: string;
  readonly errors: NonNullable<ProblemBody["errors"]>;

  constructor(status: number, body: ProblemBody) {
    super(body.detail ?? body.title ?? `the server answered ${status}`);
    this.status = status;
    this.code = body.code ?? "";
    this.title = body.title ?? "That did not work";
    this.errors = body.errors ?? [];
  }
}

/** Whether what was asked for is not there: no fault, and trying again does not help. */
export function isMissing(error: unknown): boolean {
  return error instanceof Problem && error.status === 404;
}

/** Whether the server does not know (any more) who asks. */
export function isUnknown(error: unknown): boolean {
  return error instanceof Problem && error.status === 401;
}

/** Reads that follow a write wait until they can show it (`?after=`), for so long. */
const READS_FOLLOW_MS = 10_000;
const written = { position: 0, at: 0 };

export function noteWritten(position: number): void {
  if (position > written.position) {
    written.position = position;
    written.at = Date.now();
  }
}

function isToFollow(): boolean {
  return written.position > 0 && Date.now() - written.at < READS_FOLLOW_MS;
}

function followed(url: URL): string {
  if (!url.searchParams.has("after")) url.searchParams.set("after", String(written.position));
  return url.toString();
}

async function problemOf(response: Response): Promise<Problem> {
  const body = (await response.json().catch(() => ({}))) as ProblemBody;
  return new Problem(response.status, body);
}

const told: Middleware = {
  onRequest({ request }) {
    const address = new URL(request.url);
    if (request.method !== "GET" || !address.pathname.startsWith("/api/")) return undefined;
    return isToFollow() ? new Request(followed(address), request) : undefined;
  },
  async onResponse({ request, response }) {
    if (!response.ok) throw await problemOf(response);
    if (request.method !== "GET" && response.headers.get("content-type")?.includes("json")) {
      const body = (await response.clone().json()) as { position?: unknown } | null;
      if (typeof body?.position === "number") noteWritten(body.position);
    }
    return undefined;
  },
  onError({ error }) {
    if (error instanceof DOMException && error.name === "AbortError") return error;
    return new Problem(0, {
      title: "No connection",
      detail: "FlowForge does not answer. Is `flowforge up` running?",
      code: "NO_CONNECTION",
    });
  },
};

/** `await http.GET("/api/runs/{run_id}", { params: { path: { run_id } } })`; throws `Problem`. */
export const http = createFetch<paths>({ baseUrl: window.location.origin });
http.use(told);

/** `api.useQuery("get", "/api/runs/{run_id}", { params: … })`, `api.useMutation("post", …)`. */
export const api = createQueries(http);
