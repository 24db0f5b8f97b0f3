"""Stored prompts of a running FlowForge: saved as versions, used by nodes, deleted."""

import json
from pathlib import Path
from typing import Any

from tests.e2e.server import Server
from tests.e2e.stranger import Object, Stranger, fresh, node_runs, problem, workflow


def asks(prompt_id: str, **fields: Any) -> Object:
    return {"id": "q", "type": "prompt_execution", "provider_model": "nobody:m", "prompt_id": prompt_id, **fields}


def asked(stranger: Stranger, run_id: str) -> Object:
    """What the worker was given to ask, once the run has ended."""
    stranger.ended(run_id)
    return next(event["data"]["payload"] for event in stranger.history(run_id) if event["type"] == "NodeQueued")


def test_a_node_asks_what_the_newest_version_says_or_the_one_that_it_names(stranger: Stranger):
    prompt_id = fresh("greet")
    body = {"id": prompt_id, "prompt": "Greet ${input.who}", "system": "Be ${variables.tone}"}
    assert stranger.send("POST", "/api/prompts", body).status_code == 201
    variables = [{"name": "tone", "default_value": "brief"}]
    newest = stranger.save(workflow(asks(prompt_id), variables=variables))
    pinned = stranger.save(workflow(asks(prompt_id, prompt_version=1, system="Shout"), variables=variables))
    assert (newest["warnings"], pinned["warnings"]) == ([], [])
    given = asked(stranger, stranger.execute(newest["id"], input_data={"who": "Ada"}))
    assert (given["prompt"], given["system"], given["prompt_version"]) == ("Greet Ada", "Be brief", 1)
    messages = [{"role": "user", "content": "Hello ${input.who}!"}]
    assert stranger.send("POST", "/api/prompts", {"id": prompt_id, "prompt": messages}).json()["version"] == 2
    given = asked(stranger, stranger.execute(newest["id"], input_data={"who": "Ada"}))
    assert (given["prompt"], given["prompt_version"]) == ([{"role": "user", "content": "Hello Ada!"}], 2)
    assert "system" not in given
    given = asked(stranger, stranger.execute(pinned["id"], input_data={"who": "Ada"}))
    assert (given["prompt"], given["system"], given["prompt_version"]) == ("Greet Ada", "Shout", 1)
    assert stranger.send("DELETE", f"/api/prompts/{prompt_id}").status_code == 200
    run = stranger.ended(stranger.execute(newest["id"], input_data={"who": "Ada"}))
    assert "there is no prompt" in node_runs(run)["q"]["error"]["message"]
    assert asked(stranger, stranger.execute(pinned["id"], input_data={"who": "Ada"}))["prompt"] == "Greet Ada"


def test_a_model_is_asked_with_the_secrets_that_the_stored_prompt_names(stranger: Stranger, server: Server):
    prompt_id, name = fresh("greet"), fresh("word").replace("-", "_")
    stranger.send("PUT", f"/api/secrets/{name}", {"value": "open-sesame"})
    body = {"id": prompt_id, "prompt": "Greet ${input.who}", "system": f"The word is ${{secrets.{name}}}"}
    assert stranger.send("POST", "/api/prompts", body).status_code == 201
    options = {"base_url": f"{server.url}/v1", "api_key": "none"}
    server.answer = lambda _: (400, {"error": {"message": "no such model"}})
    run = stranger.run(workflow(asks(prompt_id, options=options)), input_data={"who": "Ada"})
    assert node_runs(run)["q"]["error"]["code"] == "PROVIDER_ERROR", node_runs(run)["q"]["error"]
    assert json.loads(server.asked[0]["body"])["messages"] == [
        {"role": "system", "content": "The word is open-sesame"},
        {"role": "user", "content": "Greet Ada"},
    ]
    assert "open-sesame" not in json.dumps(stranger.history(run["run_id"]))


def test_a_prompt_is_saved_read_listed_and_deleted(stranger: Stranger):
    prompt_id = fresh("own")
    body = {"id": prompt_id, "name": "Own", "description": "Says hello", "prompt": "Hi ${input.who}"}
    answer = stranger.send("POST", "/api/prompts", body)
    assert (answer.status_code, answer.headers["etag"]) == (201, '"1"')
    first = stranger.get("/api/prompts")["items"][0]
    assert (first["id"], first["name"], first["version"], first["created_by"]) == (prompt_id, "Own", 1, "admin")
    changed = stranger.send("PUT", f"/api/prompts/{prompt_id}", {"prompt": "Hello"}, **{"If-Match": '"1"'})
    assert (changed.status_code, changed.json()["version"]) == (200, 2)
    problem(stranger.send("PUT", f"/api/prompts/{prompt_id}", {"prompt": "Hey"}, **{"If-Match": '"1"'}), 412)
    assert stranger.get(f"/api/prompts/{prompt_id}")["prompt"] == "Hello"
    assert stranger.get(f"/api/prompts/{prompt_id}/versions/1")["prompt"] == "Hi ${input.who}"
    assert [one["version"] for one in stranger.get(f"/api/prompts/{prompt_id}/versions")["items"]] == [2, 1]
    refused = problem(stranger.send("POST", "/api/prompts", {"id": prompt_id, "prompt": "Hi ${who}"}), 422)
    assert refused["errors"][0]["path"] == "$.prompt"
    assert stranger.send("DELETE", f"/api/prompts/{prompt_id}").status_code == 200
    assert prompt_id not in [item["id"] for item in stranger.all("/api/prompts")]
    assert {("save_prompt", prompt_id), ("delete_prompt", prompt_id)} <= {
        (item["action"], item["subject"]) for item in stranger.get("/api/audit")["items"]
    }


def test_prompts_on_the_command_line(stranger: Stranger, tmp_path: Path):
    prompt_id, text, document = fresh("cli"), tmp_path / "greet.txt", tmp_path / "greet.yaml"
    saved = stranger.cli("prompts", "save", prompt_id, "--text", "Hi", "--system", "Be brief", "--name", "Hello")
    assert saved.status == 0, saved.err
    text.write_text("Greet ${input.who}\n")
    again = stranger.cli("prompts", "save", prompt_id, "--file", str(text), "--json")
    assert (again.status, json.loads(again.out)["version"]) == (0, 2), again.err
    shown = json.loads(stranger.cli("prompts", "show", prompt_id, "--json").out)
    assert (shown["prompt"], shown["system"], shown["name"]) == ("Greet ${input.who}", "Be brief", "Hello")
    document.write_text("system: ''\nprompt:\n- {role: user, content: Hi}\n")
    assert stranger.cli("prompts", "save", prompt_id, "--file", str(document)).status == 0
    shown = json.loads(stranger.cli("prompts", "show", prompt_id, "--json").out)
    assert (shown["prompt"], shown["system"], shown["version"]) == ([{"role": "user", "content": "Hi"}], None, 3)
    assert "Be brief" in stranger.cli("prompts", "show", prompt_id, "--version", "1").out
    assert prompt_id in stranger.cli("prompts", "list").out
    assert stranger.cli("prompts", "delete", prompt_id).status == 0
    missing = stranger.cli("prompts", "show", prompt_id)
    assert (missing.status, "there is no prompt" in missing.err) == (1, True)
    for words in (["--text", "a", "--file", str(text)], [], ["--file", str(tmp_path / "none.txt")]):
        assert stranger.cli("prompts", "save", prompt_id, *words).status == 2
