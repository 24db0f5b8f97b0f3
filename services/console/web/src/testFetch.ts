/* What stands for the server in tests of components: answers by path (data, or a whole
   `Response`), at the edge where the browser asks. It is there
   before anything else is loaded, since the client keeps what it finds. */
export interface Asked {
  method: string;
  path: string;
  query: URLSearchParams;
  body: unknown;
}
export type Answers = Record<string, (asked: Asked) => unknown>;

export const server: { answers: Answers; asked: Asked[] } = { answers: {}, asked: [] };

/** Node's own does not take the signals of jsdom. */
class PlainRequest extends Request {
  constructor(input: RequestInfo | URL, init?: RequestInit) {
    super(input, init === undefined || init instanceof Request ? init : { ...init, signal: null });
  }
}
globalThis.Request = PlainRequest;

globalThis.fetch = async (input, init) => {
  const address = input instanceof Request ? input : new URL(String(input), window.location.origin);
  const request = new Request(address, init);
  const url = new URL(request.url);
  const text = await request.text();
  const asked: Asked = {
    method: request.method,
    path: url.pathname,
    query: url.searchParams,
    body: text === "" ? undefined : (JSON.parse(text) as unknown),
  };
  server.asked.push(asked);
  if (asked.path.endsWith("/stream")) return new Response(null, { status: 204 });
  const answer = server.answers[`${asked.method} ${asked.path}`];
  if (answer === undefined) {
    return Response.json({ status: 404, detail: `no ${asked.path} here` }, { status: 404 });
  }
  const said = answer(asked);
  return said instanceof Response ? said : Response.json(said);
};
