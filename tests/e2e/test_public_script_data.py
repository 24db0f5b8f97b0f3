"""What a script is given, what it gives, and what of it is told."""

import json

import pytest

from tests.e2e.stranger import (
    Stranger,
    bash,
    edge,
    error_of,
    node_runs,
    problem,
    python,
    transform,
    workflow,
)

SCRIPTS = {
    "bash": 'cat "$FLOWFORGE_INPUT" > "$FLOWFORGE_OUTPUT"; echo out; echo err >&2',
    "python": """
import json, os, sys
value = json.load(open(os.environ["FLOWFORGE_INPUT"]))
json.dump(value, open(os.environ["FLOWFORGE_OUTPUT"], "w"))
print("out"); print("err", file=sys.stderr)
""",
    "node": """
const fs = require("fs");
fs.writeFileSync(process.env.FLOWFORGE_OUTPUT, fs.readFileSync(process.env.FLOWFORGE_INPUT));
console.log("out"); console.error("err");
""",
}


@pytest.mark.parametrize("language", ["bash", "python", "node"])
def test_a_script_reads_its_input_writes_its_output_and_is_logged(stranger: Stranger, language: str):
    script = {"id": "a", "type": "script", "language": language, "source": SCRIPTS[language]}
    run = stranger.run(workflow(script), input_data={"ä": [1, 2.5, None, "x"]})
    if language == "node" and run["status"] == "failed":
        assert "node" in error_of(run, "a")["message"].lower(), "this machine has no node, and the error says so"
        return
    assert node_runs(run)["a"]["output"] == {"ä": [1, 2.5, None, "x"]}
    logs = stranger.get(f"/api/runs/{run['run_id']}/logs")["items"]
    assert sorted(line["text"] for line in logs) == ["err", "out"]


def test_a_script_that_writes_nothing_gives_null_and_one_that_fails_tells_its_exit_status(stranger: Stranger):
    assert stranger.run(workflow(bash("a", "true")))["node_runs"][0]["output"] is None
    run = stranger.run(workflow(bash("a", "echo no luck >&2; exit 3")))
    error = error_of(run, "a")
    assert error["code"] == "NODE_EXECUTION_FAILED"
    assert "3" in error["message"]
    assert "no luck" in json.dumps(stranger.get(f"/api/runs/{run['run_id']}/logs"))
    killed = stranger.run(workflow(bash("a", "kill -9 $$")))
    assert killed["status"] == "failed"
    garbled = stranger.run(workflow(bash("a", "echo '{broken' > $FLOWFORGE_OUTPUT")))
    assert garbled["status"] == "failed"
    assert error_of(garbled, "a")["message"]


def test_a_script_has_its_env_and_not_the_systems_secrets(stranger: Stranger):
    run = stranger.run(
        workflow(
            python(
                "a",
                "import os\nprint(sorted(os.environ))\nprint(os.environ['GREETING'])",
                env={"GREETING": "hi ${input.n}"},
            )
        ),
        input_data={"n": 5},
    )
    lines = [line["text"] for line in stranger.get(f"/api/runs/{run['run_id']}/logs")["items"]]
    assert lines[1] == "hi 5"
    assert "DATABASE_URL" not in lines[0]
    assert "NATS_URL" not in lines[0]


def test_output_over_256_kib_travels_by_reference_and_is_used_by_the_next_node(stranger: Stranger):
    big = 'python3 -c "import json; json.dump({\\"text\\": \\"x\\" * 400000}, open(\\"$FLOWFORGE_OUTPUT\\", \\"w\\"))"'
    definition = workflow(
        bash("a", big), transform("b", expressions={"size": "${size(nodes.a.output.text)}"}),
        bash("c", 'wc -c < "$FLOWFORGE_INPUT" > "$FLOWFORGE_OUTPUT"', input_mapping={"again": "${nodes.a.output.text}"}),
        edges=[edge("a", "b"), edge("b", "c")],
    )  # fmt: skip
    run = stranger.run(definition)
    assert run["status"] == "completed", run["error"]
    assert node_runs(run)["b"]["output"] == {"size": 400_000}
    assert node_runs(run)["c"]["output"] > 400_000
    reference = next(
        e for e in stranger.history(run["run_id"]) if e["type"] == "NodeCompleted" and e["data"]["node_id"] == "a"
    )
    assert len(json.dumps(reference)) < 5000
    hashes = [
        word for word in json.dumps(reference["data"]).replace('"', " ").replace("/", " ").split() if len(word) == 64
    ]
    assert hashes, reference
    assert stranger.get(f"/api/blobs/{hashes[0]}") == {"text": "x" * 400_000}


def test_large_input_is_taken_or_refused_with_413(stranger: Stranger):
    definition = workflow(transform("a", expressions={"n": "${size(input.text)}"}))
    stranger.save(definition)
    answer = stranger.send(
        "POST", f"/api/workflows/{definition['id']}/execute", {"input_data": {"text": "x" * 2_000_000}}
    )
    if answer.status_code == 413:
        problem(answer, 413)
    else:
        assert answer.status_code == 202, answer.text
        assert stranger.ended(answer.json()["run_id"])["node_runs"][0]["output"] == {"n": 2_000_000}
