"""The description of the interface and the interface are one: schemathesis tries every route with what is described and
with what is not. More of it: `make fuzz`.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.stranger import Stranger, transform, workflow

CONFIG = Path(__file__).parent / "schemathesis.toml"
HOOKS = Path(__file__).parent / "schemathesis_hooks.py"
DESCRIPTION = Path(__file__).parents[2] / "contracts" / "flowforge" / "documents" / "openapi.json"
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
    "unsupported_method,allow_header_conformance,ignored_auth,negative_data_rejection"
)
ENDLESS = "stream$"
"""Streams do not end; tests of their own listen to them."""
DEFINITIONS = r"^/api/workflows(/validate|/\{workflow_id\}|/\{workflow_id\}/triggers)?$|^/api/events$"
"""What takes a whole definition: combinations without end; values are drawn, not enumerated."""
FUZZ_EXAMPLES = os.environ.get("FLOWFORGE_FUZZ_EXAMPLES")
"""So many for every route (`make fuzz`); otherwise a few, for those whose edges are not enumerated."""
ANSWER_S_MAX = "40"
"""A receiver that a test event is posted to has 30 s."""
RUN_S_MAX = 180 if FUZZ_EXAMPLES is None else 3_600


def something_of_each(stranger: Stranger) -> dict[str, str]:
    """What stands in addresses, of things that are there."""
    hourly = {"id": "hourly", "name": "Hourly", "type": "schedule", "config": {"cron": "@hourly"}}
    nodes = transform("t"), {"id": "ask", "type": "human_approval", "name": "Ask", "config": {"message": "?"}}
    definition = workflow(*nodes, triggers=[hourly])
    name: str = stranger.save(definition)["id"]
    run_id = stranger.execute(name)
    for path, body in (
        ("/api/subscriptions", {"url": "https://ledger.example.com/flowforge", "enabled": False}),
        ("/api/prompts", {"prompt": "A"}),
        ("/api/templates", {"definition": definition}),
    ):
        assert stranger.send("POST", path, {"id": name, **body}).status_code == 201
    stranger.get(f"/api/runs/{run_id}")
    same = ("workflow_id", "subscription_id", "prompt_id", "template_id")
    places = {**dict.fromkeys(same, name), "run_id": run_id, "node_id": "t", "trigger_id": "hourly"}
    return {f"path.{place}": value for place, value in places.items()}


def tried(
    stranger: Stranger, folder: Path, *options: str, known: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`known`: what parameters are, and nothing waits for what has not been logged yet; anything without it."""
    config = folder / "schemathesis.toml"
    given = [f'"{name}" = "{value}"' for name, value in (known or {}).items()]
    config.write_text("\n".join(["[parameters]", *given, CONFIG.read_text()]))
    words = [
        str(Path(sys.executable).parent / "st"), "--config-file", str(config), "--no-color", "run", str(DESCRIPTION),
        "--url", stranger.endpoints["http"], "--header", f"Authorization: Bearer {stranger.key}",
        "--checks", CHECKS, "--continue-on-failure", "--request-timeout", ANSWER_S_MAX,
        "--suppress-health-check", "all", "--warnings", "off", *options,
    ]  # fmt: skip
    if FUZZ_EXAMPLES is None:
        words += ["--seed", "1"]
    environment = os.environ if known is None else {**os.environ, "SCHEMATHESIS_HOOKS": str(HOOKS)}
    return subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, timeout=RUN_S_MAX, check=False
    )


@pytest.mark.timeout(RUN_S_MAX + 10)
def test_every_route_keeps_to_its_description_at_the_edges_of_what_it_takes(stranger: Stranger, tmp_path: Path):
    done = tried(
        stranger, tmp_path, "--phases", "examples,coverage", "--exclude-path-regex", f"{ENDLESS}|{DEFINITIONS}"
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.timeout(RUN_S_MAX + 10)
def test_every_route_keeps_to_its_description_whatever_it_is_sent(stranger: Stranger, tmp_path: Path):
    chosen = ["--include-path-regex", DEFINITIONS] if FUZZ_EXAMPLES is None else ["--exclude-path-regex", ENDLESS]
    done = tried(stranger, tmp_path, "--phases", "fuzzing", "--max-examples", FUZZ_EXAMPLES or "2", *chosen)
    assert done.returncode == 0, done.stdout


@pytest.mark.timeout(RUN_S_MAX + 10)
def test_every_route_of_what_is_there_keeps_to_its_description(stranger: Stranger, tmp_path: Path):
    methods = ["--include-method", "GET"] if FUZZ_EXAMPLES is None else ["--exclude-method", "DELETE"]
    done = tried(
        stranger, tmp_path, "--phases", "fuzzing", "--max-examples", FUZZ_EXAMPLES or "2", *methods,
        "--include-path-regex", r"\{", "--exclude-path-regex", ENDLESS, known=something_of_each(stranger),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
