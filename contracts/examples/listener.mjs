// Follows a run from Node (18 or newer) with nothing installed: over HTTP (server-sent events) or over NATS.
//
//     node listener.mjs RUN_ID                 over HTTP, from its first event to its end, across disconnects
//     node listener.mjs RUN_ID --nats          the same over NATS, from the stream RUNS (which keeps an hour)
//
// Address and login are those that `flowforge up` wrote under FLOWFORGE_HOME (default .flowforge), or FLOWFORGE_URL,
// FLOWFORGE_KEY and FLOWFORGE_NATS_URL. Each event is one line of JSON: {position, type, data}.

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect } from "node:net";

const HOME = process.env.FLOWFORGE_HOME ?? ".flowforge";
const ENDINGS = new Set(["RunCompleted", "RunFailed", "RunCancelled", "RunPartiallyCompleted"]);
const AWAY = new Set([502, 503, 504]);
const BATCH = 500;
const PULL_NS = 10_000_000_000;
const RETRY_WAIT_MS = 200;
const RETRY_WAIT_MAX_MS = 2000;

const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const endpoints = () => JSON.parse(readFileSync(`${HOME}/endpoints.json`, "utf8"));

// --- over HTTP -----------------------------------------------------------------------------------------------------

// The messages in a stream of bytes (HTML Living Standard, 9.2); an unfinished last one is dropped. One without data only
// says where to go on.
async function* messages(body) {
  const decoder = new TextDecoder();
  let rest = "";
  let message = { event: "message", id: "", data: [] };
  for await (const chunk of body) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split(/\r\n|\n|\r/);
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        yield { ...message, data: message.data.length > 0 ? message.data.join("\n") : null };
        message = { event: "message", id: message.id, data: [] };
        continue;
      }
      const colon = line.indexOf(":");
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (field === "data") message.data.push(value);
      else if (field === "event") message.event = value;
      else if (field === "id") message.id = value;
    }
  }
}

// Every event of a run once, however often the connection breaks; ends when the server says that no more will come.
async function* followOverHttp(runId) {
  const url = process.env.FLOWFORGE_URL ?? endpoints().http;
  const key = process.env.FLOWFORGE_KEY ?? readFileSync(`${HOME}/admin.key`, "utf8").trim();
  let lastId = "";
  let incarnation = "";
  let waitMs = RETRY_WAIT_MS;
  for (;;) {
    const headers = { Accept: "text/event-stream", Authorization: `Bearer ${key}` };
    if (lastId) headers["Last-Event-ID"] = lastId;
    if (incarnation) headers["FlowForge-Incarnation"] = incarnation; // positions mean nothing in another log
    try {
      const response = await fetch(`${url}/api/runs/${runId}/stream`, { headers });
      if (response.status === 204) return;
      if (!response.ok && !AWAY.has(response.status)) {
        throw Object.assign(new Error(`${response.status}: ${(await response.json()).detail}`), { isFinal: true });
      }
      if (response.ok) {
        incarnation ||= response.headers.get("FlowForge-Incarnation") ?? "";
        for await (const message of messages(response.body)) {
          if (message.id) lastId = message.id;
          waitMs = RETRY_WAIT_MS;
          if (message.data !== null) yield JSON.parse(message.data);
        }
      }
    } catch (fault) {
      if (fault.isFinal) throw fault; // refused; all else is a connection that broke
    }
    await wait(waitMs);
    waitMs = Math.min(RETRY_WAIT_MAX_MS, waitMs * 2);
  }
}

// --- over NATS -----------------------------------------------------------------------------------------------------

// Every event of a run, in order, until its first ending: the NATS client protocol, and a pull consumer of its own.
async function* followOverNats(runId) {
  const url = new URL(process.env.FLOWFORGE_NATS_URL ?? endpoints().nats);
  const namespace = process.env.FLOWFORGE_NAMESPACE ?? "flowforge";
  const stream = namespace === "flowforge" ? "RUNS" : `${namespace.toUpperCase()}_RUNS`;
  const socket = connect(Number(url.port || 4222), url.hostname);
  const inbox = `_INBOX.${randomUUID().replaceAll("-", "")}`;
  const login = { user: decodeURIComponent(url.username), pass: decodeURIComponent(url.password) };
  const consumer = {
    stream_name: stream,
    config: {
      filter_subject: `${namespace}.runs.*.${runId}.>`,
      deliver_policy: "all",
      ack_policy: "none",
      mem_storage: true,
      inactive_threshold: 30_000_000_000,
    },
  };
  const publish = (subject, replyTo, body) => {
    const text = JSON.stringify(body);
    socket.write(`PUB ${subject} ${inbox}.${replyTo} ${Buffer.byteLength(text)}\r\n${text}\r\n`);
  };
  socket.write(`CONNECT ${JSON.stringify({ verbose: false, headers: true, lang: "node", version: "1", ...login })}\r\n`);
  socket.write(`SUB ${inbox}.> 1\r\n`);
  publish(`$JS.API.CONSUMER.CREATE.${stream}`, "made", consumer);
  let name = "";
  let owed = 0;
  const pull = () => publish(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${name}`, "event", { batch: (owed = BATCH), expires: PULL_NS });
  try {
    for await (const { subject, body } of deliveries(socket)) {
      if (subject === `${inbox}.made`) {
        const made = JSON.parse(body);
        if (made.error) throw new Error(made.error.description);
        name = made.name;
        pull();
        continue;
      }
      if (body) owed -= 1;
      if (!body || owed === 0) pull(); // a message without a body is a status: the pull has ended
      if (!body) continue;
      const event = JSON.parse(body);
      yield event;
      if (ENDINGS.has(event.type)) return;
    }
    throw new Error("NATS closed the connection");
  } finally {
    socket.destroy();
  }
}

// What the server sends: `MSG <subject> <sid> [reply] <bytes>` or `HMSG … <header bytes> <bytes>`, then the payload.
async function* deliveries(socket) {
  let rest = Buffer.alloc(0);
  for await (const chunk of socket) {
    rest = Buffer.concat([rest, chunk]);
    for (;;) {
      const end = rest.indexOf("\r\n");
      if (end < 0) break;
      const words = rest.toString("utf8", 0, end).split(" ");
      if (words[0] === "PING") socket.write("PONG\r\n");
      if (words[0] === "-ERR") throw new Error(words.slice(1).join(" "));
      if (words[0] !== "MSG" && words[0] !== "HMSG") {
        rest = rest.subarray(end + 2);
        continue;
      }
      const size = Number(words.at(-1));
      const head = words[0] === "HMSG" ? Number(words.at(-2)) : 0;
      if (rest.length < end + 2 + size + 2) break;
      const body = rest.toString("utf8", end + 2 + head, end + 2 + size);
      rest = rest.subarray(end + 2 + size + 2);
      yield { subject: words[1], body };
    }
  }
}

const [runId, way] = process.argv.slice(2);
if (!runId) {
  console.error("usage: node listener.mjs RUN_ID [--nats]");
  process.exit(2);
}
try {
  for await (const { position, type, data } of way === "--nats" ? followOverNats(runId) : followOverHttp(runId)) {
    console.log(JSON.stringify({ position, type, data }));
  }
} catch (fault) {
  console.error(fault.message);
  process.exit(1);
}
