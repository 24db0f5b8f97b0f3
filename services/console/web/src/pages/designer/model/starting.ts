/* What a new node begins with: as much as makes it valid, or at least says what is to be filled in. */
import type { Fields } from "./definition";

const BASH = 'echo "at work"\necho \'{"ok": true}\' > "$FLOWFORGE_OUTPUT"\n';

export const SCRIPTS: Record<string, string> = {
  bash: BASH,
  python:
    'import json, os\n\ngiven = json.load(open(os.environ["FLOWFORGE_INPUT"]))\njson.dump({"ok": True}, open(os.environ["FLOWFORGE_OUTPUT"], "w"))\n',
  node: 'const fs = require("node:fs");\n\nconst given = JSON.parse(fs.readFileSync(process.env.FLOWFORGE_INPUT, "utf8"));\nfs.writeFileSync(process.env.FLOWFORGE_OUTPUT, JSON.stringify({ ok: true }));\n',
};

/** By node type; a loop's body begins with one node, whose id is given. */
export const START_FIELDS: Record<string, (bodyId: string) => Fields> = {
  start: () => ({}),
  end: () => ({}),
  job: () => ({ job_type: "my-job" }),
  script: () => ({ language: "bash", source: BASH }),
  webhook: () => ({ method: "GET", url: "https://example.com" }),
  sql: () => ({ connection: "database_url", query: "select 1" }),
  prompt_execution: () => ({ provider_model: "ollama:llama3.2", prompt: "" }),
  condition: () => ({ condition: "true" }),
  loop: (bodyId) => ({
    loop_type: "for_each",
    array_source: "${input.items}",
    body: { nodes: [{ id: bodyId, type: "data_transform", expressions: { value: "${item}" } }] },
  }),
  parallel: () => ({ wait_for: "all", branches: [] }),
  merge: () => ({ parallel_node_id: "" }),
  delay: () => ({ duration_ms: 60_000 }),
  wait_event: () => ({ event_type: "something.happened" }),
  data_transform: () => ({ expressions: { value: "${input}" } }),
  human_approval: () => ({ message: "Shall it go on?" }),
  workflow: () => ({ workflow_id: "" }),
};
