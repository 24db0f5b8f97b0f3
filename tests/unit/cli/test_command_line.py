"""The command line as it is: a process with its stdout, stderr and exit status."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from infra.embedded.ports import free_port

ROOT = Path(__file__).parents[3]
ITS_LIBRARIES = "import asyncio, cyclopts, rich.console"
HELP_TO_ITS_LIBRARIES_MAX = 2.0
"""Of processor time, against loading what it is shown with: seconds differ with the machine, and with its hour."""
FLOW = "id: hello\nname: Hello\nnodes:\n  - {id: greet, type: job, job_type: greet}\n"


class Ended:
    """What a command left behind; `cpu_s` is what it cost, which other work on the machine does not change."""

    def __init__(self, status: int, out: str, err: str, cpu_s: float) -> None:
        self.status, self.out, self.err, self.cpu_s = status, out, err, cpu_s


def flowforge(*words: str, folder: Path = ROOT, stdin: str = "", env: dict[str, str] | None = None) -> Ended:
    return python("-m", "services.cli", *words, folder=folder, stdin=stdin, env=env)


def python(*words: str, folder: Path = ROOT, stdin: str = "", env: dict[str, str] | None = None) -> Ended:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FLOWFORGE_")}
    environment |= {"PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "100", **(env or {})}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, *words],
        input=stdin, capture_output=True, text=True, cwd=folder, env=environment, check=False, timeout=60,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Ended(done.returncode, done.stdout, done.stderr, cpu_s)


@pytest.fixture
def nobody() -> str:
    """An address where nothing listens."""
    return f"http://127.0.0.1:{free_port()}"


def test_help_shows_every_command_at_once():
    ended = min((flowforge("--help") for _ in range(3)), key=lambda ended: ended.cpu_s)
    assert ended.status == 0
    for command in (
        "up",
        "apply",
        "validate",
        "run",
        "watch",
        "runs",
        "events",
        "worker",
        "rebuild",
        "verify",
        "doctor",
    ):
        assert f"   {command} " in ended.out
    libraries = min(python("-c", ITS_LIBRARIES).cpu_s for _ in range(3))
    assert ended.cpu_s < HELP_TO_ITS_LIBRARIES_MAX * libraries


@pytest.mark.parametrize(
    ("words", "message", "next_step"),
    [
        (["aply", "-f", "x.yaml"], "there is no command 'aply'", "did you mean: flowforge apply"),
        (["run"], 'command "run" parameter WORKFLOW requires an argument.', "see: flowforge run --help"),
        (["run", "x", "--imput", "3"], "unknown option: --imput. Did you mean --input?", "see: flowforge run --help"),
        (["run", "x", "--label", "a"], "--label a: expected name=value", ""),
        (["run", "x", "--input", "{a: 1}"], "--input: the text is no valid JSON", "quote it for the shell"),
        (["run", "x", "--input", "@nothing.json"], "--input: cannot read nothing.json: No such file or directory", ""),
        (["runs", "--status", "done"], 'invalid value "done" for --status', "see: flowforge runs --help"),
        (["runs", "change", "x"], "nothing is to be changed", "name --priority, --label or --breakpoint"),
        (["runs", "change", "x", "--label", "a"], "--label a: expected name=value", ""),
        (["runs", "bulk", "explode"], 'invalid value "explode" for ACTION', "see: flowforge runs bulk --help"),
        (["nodes", "complete", "x", "n", "--output", "{"], "--output: the text is no valid JSON", "quote it"),
        (["approvals", "list", "--status", "maybe"], 'invalid value "maybe" for --status', "flowforge approvals list"),
        (["validate", "nothing.yaml"], "there is no file nothing.yaml", ""),
        (["worker", "jobs"], "'jobs' is not MODULE:WORKER", ""),
        (["worker", "nothing_of_the_kind:worker"], "there is no module 'nothing_of_the_kind'", ""),
    ],
)
def test_wrong_usage_says_what_and_what_next_and_ends_with_2(words: list[str], message: str, next_step: str):
    ended = flowforge(*words)
    assert (ended.status, ended.out) == (2, "")
    assert message in ended.err
    assert next_step in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    "words",
    [["runs"], ["runs", "pause", "x"], ["runs", "bulk", "cancel", "--workflow", "x"], ["nodes", "skip", "x", "n"],
     ["approvals", "list"], ["approvals", "approve", "x"], ["dead-letters", "retry", "x"], ["workflows"],
     ["run", "x"], ["watch", "x"], ["cancel", "x"], ["events", "list", "x"],
     ["events", "publish", "a.b", "--data", "{}"], ["decisions", "x", "y"]],
)  # fmt: skip
def test_without_a_server_every_command_names_the_address_and_ends_with_3(words: list[str], nobody: str):
    ended = flowforge(*words, "--url", nobody)
    assert (ended.status, ended.out) == (3, "")
    assert ended.err.splitlines() == [
        f"✘ no FlowForge answers at {nobody}",
        "  check --url or FLOWFORGE_URL, and that the server runs",
    ]


def test_without_anything_running_the_next_step_is_up(tmp_path: Path):
    ended = flowforge("verify", folder=tmp_path)
    assert (ended.status, ended.err) == (3, "✘ nothing runs in .flowforge\n  start it with: flowforge up\n")


def test_an_error_is_json_on_stderr_with_json(nobody: str):
    ended = flowforge("--json", "runs", "--url", nobody)
    assert (ended.status, ended.out) == (3, "")
    assert json.loads(ended.err)["error"] == f"no FlowForge answers at {nobody}"


def test_validate_shows_each_mistake_where_it_stands(tmp_path: Path):
    text = FLOW + "  - {id: Bye, type: jobb}\nsettngs: {fail_fast: false}\n"
    (tmp_path / "flow.yaml").write_text(text)
    ended = flowforge("validate", "--offline", "flow.yaml", folder=tmp_path)
    assert ended.status == 1
    assert ended.out.splitlines() == [
        "✘ error: unknown type 'jobb'",
        "   ┌ flow.yaml:5:21  $.nodes[1].type",
        " 3 │ nodes:",
        " 4 │   - {id: greet, type: job, job_type: greet}",
        " 5 │   - {id: Bye, type: jobb}",
        "   │                     ^^^^",
        "   = did you mean `job`?",
        "",
        "✘ error: Object contains unknown field `settngs`",
        "   ┌ flow.yaml:6:1  $.settngs",
        " 4 │   - {id: greet, type: job, job_type: greet}",
        " 5 │   - {id: Bye, type: jobb}",
        " 6 │ settngs: {fail_fast: false}",
        "   │ ^^^^^^^",
        "   = did you mean `settings`?",
        "",
        "✘ hello  flow.yaml  2 errors",
    ]


def test_validate_without_a_server_says_that_it_looked_at_the_file_only(tmp_path: Path, nobody: str):
    (tmp_path / "flow.yaml").write_text(FLOW)
    ended = flowforge("validate", "flow.yaml", "--url", nobody, folder=tmp_path)
    assert (ended.status, ended.out) == (0, "✔ hello  flow.yaml  valid\n")
    assert "checked without a server" in ended.err


def test_validate_answers_one_json_document(tmp_path: Path):
    (tmp_path / "flow.yaml").write_text(FLOW + "tagz: 1\n")
    ended = flowforge("validate", "--offline", "--json", "flow.yaml", "-", folder=tmp_path, stdin=FLOW)
    answer = json.loads(ended.out)
    assert (ended.status, ended.err, answer["is_valid"]) == (1, "", False)
    bad, good = answer["documents"]
    assert (good["file"], good["is_valid"]) == ("<stdin>", True)
    assert [(found["path"], found["line"], found["column"]) for found in bad["findings"]] == [("$.tagz", 5, 1)]


def test_apply_sends_nothing_unless_every_document_is_whole(tmp_path: Path, nobody: str):
    (tmp_path / "good.yaml").write_text(FLOW)
    (tmp_path / "bad.yaml").write_text(FLOW + "tagz: 1\n")
    ended = flowforge("apply", "-f", "good.yaml", "-f", "bad.yaml", "--url", nobody, folder=tmp_path)
    assert (ended.status, ended.out) == (1, "")
    assert ended.err.startswith("✘ nothing was applied\n")
    assert "┌ bad.yaml:5:1  $.tagz" in ended.err


def test_apply_refuses_one_workflow_written_twice(tmp_path: Path, nobody: str):
    (tmp_path / "flow.yaml").write_text(FLOW + "---\n" + FLOW)
    ended = flowforge("apply", "-f", "flow.yaml", "--url", nobody, folder=tmp_path)
    assert ended.status == 2
    assert "workflow hello stands twice" in ended.err


def test_doctor_without_a_server_says_so_and_goes_on(tmp_path: Path, nobody: str):
    ended = flowforge("doctor", "--url", nobody, folder=tmp_path)
    assert ended.status == 3
    assert f"✘ server    no FlowForge answers at {nobody}" in ended.out
    assert "✔ versions  flowforge" in ended.out


def test_a_bad_setting_is_refused_by_name(tmp_path: Path):
    ended = flowforge("up", folder=tmp_path, env={"FLOWFORGE_HTTP_PORT": "many"})
    assert (ended.status, ended.err) == (2, "✘ FLOWFORGE_HTTP_PORT: 'many' is not a number\n")


def test_a_bug_is_one_line_and_the_path_of_its_trace(tmp_path: Path):
    (tmp_path / "jobs.py").write_text("raise RuntimeError('unexpected')\n")
    ended = flowforge("worker", "jobs:worker", folder=tmp_path, env={"TMPDIR": str(tmp_path)})
    assert ended.status == 1
    first, second = ended.err.splitlines()
    assert first == "✘ this is a bug in flowforge: RuntimeError: unexpected"
    trace = Path(second.rpartition(" ")[2])
    assert "RuntimeError: unexpected" in trace.read_text()
