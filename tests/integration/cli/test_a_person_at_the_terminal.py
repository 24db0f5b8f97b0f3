"""The command line against a running FlowForge, as a person or a script uses it."""

import json
import os
import pty
import re
import secrets
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.cli.command import Flowforge, environment

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def name() -> str:
    """A workflow id no other test uses."""
    return f"w{secrets.token_hex(4)}"


def chain(name: str, second: str = "exit 0", more: str = "") -> str:
    return f"""id: {name}
name: Two steps
nodes:
  - {{id: first, type: script, language: bash, source: 'echo "[1, 2]" > "$FLOWFORGE_OUTPUT"'}}
  - {{id: second, type: script, language: bash, source: '{second}'}}
edges:
  - {{source_node_id: first, target_node_id: second}}
{more}"""


def test_apply_creates_then_leaves_alone_then_updates(flowforge: Flowforge, name: str):
    first = flowforge("apply", "-f", "flow.yaml", flow=chain(name))
    assert (first.status, first.out) == (0, f"✔ {name}  created  version 1  flow.yaml\n"), first.err
    assert flowforge("apply", "-f", "flow.yaml").out == f"○ {name}  unchanged  version 1  flow.yaml\n"
    changed = flowforge("apply", "-f", "flow.yaml", "--json", flow=chain(name, "exit 3"))
    assert (changed.json["result"], changed.json["version"]) == ("updated", 2)


def test_a_mistake_that_only_the_server_sees_is_shown_in_the_file(flowforge: Flowforge, name: str):
    cyclic = chain(name) + "  - {source_node_id: second, target_node_id: first}\n"
    for words in (["validate", "flow.yaml"], ["apply", "-f", "flow.yaml"]):
        ended = flowforge(*words, flow=cyclic)
        assert ended.status == 1
        assert re.search(r"flow\.yaml:\d+:\d+", ended.out), ended.out + ended.err
    assert flowforge("run", name).status == 1


def test_run_watch_without_a_terminal_is_one_line_per_event(flowforge: Flowforge, name: str):
    flowforge("apply", "-f", "flow.yaml", flow=chain(name))
    ended = flowforge("run", name, "--watch", "--label", "a=b", "--input", '{"n": 1}')
    assert ended.status == 0, ended.err
    assert [line.split()[2] for line in ended.out.splitlines()][-1] == "RunCompleted"
    assert re.search(r"NodeCompleted +first +\[1,2\]", ended.out)


def test_run_watch_ends_with_1_when_the_run_fails(flowforge: Flowforge, name: str):
    flowforge("apply", "-f", "flow.yaml", flow=chain(name, "echo no >&2; exit 3"))
    ended = flowforge("run", name, "--watch")
    assert ended.status == 1
    assert "RunFailed" in ended.out.splitlines()[-1]


def test_run_and_watch_as_json(flowforge: Flowforge, name: str):
    flowforge("apply", "-f", "flow.yaml", flow=chain(name))
    started = flowforge("run", name, "--json")
    run_id = started.json["run_id"]
    watched = flowforge("watch", run_id, "--json")
    assert watched.status == 0
    types = [event["type"] for event in watched.lines]
    assert (types[0], types[-1]) == ("WorkflowTriggered", "RunCompleted")
    listed = flowforge("events", "list", run_id, "--json")
    assert [event["position"] for event in listed.lines] == [event["position"] for event in watched.lines]
    assert [item["run_id"] for item in flowforge("runs", "--workflow", name, "--json").json["items"]] == [run_id]
    assert run_id in flowforge("runs", "--workflow", name).out


def test_the_live_tree_ends_with_every_node_in_its_state(flowforge: Flowforge, home: Path, name: str):
    flowforge("apply", "-f", "flow.yaml", flow=chain(name))
    status, shown = on_a_terminal(home, "run", name, "--watch")
    assert status == 0
    assert re.search(rf"✔ completed  {name} v1", shown)
    assert re.search(r"✔ first +\d+", shown)
    assert re.search(r"✔ second +\d+", shown)


def test_ctrl_c_leaves_the_run_running_and_says_how_to_go_on(flowforge: Flowforge, home: Path, name: str):
    waits = chain(name, "while [ ! -e /nowhere/at/all ]; do sleep 0.1; done")
    flowforge("apply", "-f", "flow.yaml", flow=waits)
    status, shown = on_a_terminal(home, "run", name, "--watch", interrupt_at=r"second +running")
    assert status == 130
    cancel = re.search(r"flowforge cancel (\S+)", shown)
    assert cancel is not None
    assert flowforge("cancel", cancel[1]).status == 0
    watched = flowforge("watch", cancel[1])
    assert (watched.status, watched.out.splitlines()[-1].split()[2]) == (1, "RunCancelled")


def on_a_terminal(home: Path, *words: str, interrupt_at: str | None = None) -> tuple[int, str]:
    """Run a command on a terminal of its own, press Ctrl-C once something is shown; status and everything shown."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "services.cli", *words],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={**environment(home), "TERM": "xterm", "LINES": "30"},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    try:
        while chunk := _read(ours):
            shown += chunk
            if interrupt_at and re.search(interrupt_at, _plain(shown)):
                process.send_signal(signal.SIGINT)
                interrupt_at = None
        return process.wait(30), _plain(shown)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # the other side is closed
        return b""


def _plain(shown: bytes) -> str:
    return ESCAPES.sub("", shown.decode(errors="replace"))


def test_a_workflow_that_is_not_there_is_answered_with_the_nearest(flowforge: Flowforge, name: str):
    flowforge("apply", "-f", "flow.yaml", flow=chain(name))
    ended = flowforge("run", f"{name}x")
    message, next_step = ended.err.splitlines()
    assert (ended.status, message) == (1, f"✘ there is no workflow {name}x")
    assert next_step.startswith(f"  did you mean {name}")


def test_a_run_that_is_not_there(flowforge: Flowforge):
    for words in (["watch"], ["cancel"], ["events", "list"]):
        ended = flowforge(*words, "01934a2c-5c1e-7000-8000-000000000001")
        assert ended.status == 1
        assert "there is no run 01934a2c-5c1e-7000-8000-000000000001" in ended.err
        assert "flowforge runs" in ended.err


def test_a_wrong_key_is_answered_with_where_keys_are_looked_for(flowforge: Flowforge):
    ended = flowforge("runs", "--key", "ffk_wrong")
    assert ended.status == 1
    assert ended.err.startswith("✘ the server does not know the key given by --key\n")
    assert "admin.key" in ended.err


def test_an_event_starts_a_run_and_its_decision_can_be_read(flowforge: Flowforge, name: str):
    trigger = f"triggers:\n  - {{id: arrived, type: event, config: {{event_type: '{name}.arrived'}}}}\n"
    flowforge("apply", "-f", "flow.yaml", flow=chain(name, more=trigger))
    published = flowforge("events", "publish", f"{name}.arrived", "--data", "-", "--json", stdin='{"n": 3}')
    assert published.status == 0, published.err
    decisions = flowforge("decisions", name, "arrived", "--json").json["items"]
    assert [decision["decision"] for decision in decisions] == ["fired"]
    watched = flowforge("watch", decisions[0]["run_id"], "--json")
    assert (watched.status, watched.lines[0]["data"]["input_data"]) == (0, {"n": 3})
    assert "✔ fired" in flowforge("decisions", name, "arrived").out


def test_verify_rebuild_and_doctor_are_content(flowforge: Flowforge, name: str):
    flowforge("apply", "-f", "flow.yaml", flow=chain(name))
    flowforge("run", name, "--watch")
    verified = flowforge("verify")
    assert verified.status == 0, verified.out + verified.err
    assert "✔ event log" in verified.out
    assert "✔ read models" in verified.out
    assert flowforge("rebuild", "--json").json["type"] == "rebuilt"
    doctor = flowforge("doctor")
    assert doctor.status == 0, doctor.out
    assert "✔ services" in doctor.out
    assert doctor.out.rstrip().endswith(("all is well", "to look at"))  # what other tests left behind


def test_workflows_are_listed(flowforge: Flowforge, name: str):
    flowforge("apply", "-f", "flow.yaml", flow=chain(name))
    assert re.search(rf"{name} +Two steps +1 +active", flowforge("workflows").out)


def on_file(size: int) -> str:
    return f"""triggers:
  - id: on-file
    type: event
    config: {{event_type: file.arrived, source: /SOURCE, filter: event.data.size > {size}}}
"""


def test_a_trigger_is_tried_before_it_is_saved(flowforge: Flowforge, name: str):
    more = on_file(10).replace("SOURCE", name)
    event = json.dumps({"type": "file.arrived", "source": f"/{name}", "data": {"size": 5}})
    new = flowforge("triggers", "test", "flow.yaml", "on-file", "--event", event, flow=chain(name, more=more))
    assert (new.status, "not_matched" in new.out, "event.data.size was 5" in new.out) == (0, True, True), new.err
    assert flowforge("apply", "-f", "flow.yaml").status == 0
    fired = flowforge("triggers", "test", name, "on-file", "--event", "-", "--json", stdin=event.replace("5}", "50}"))
    assert (fired.json["decision"], fired.json["input"]) == ("fired", {"size": 50}), fired.err
    missing = flowforge("triggers", "test", name, "on-fiel", "--event", event)
    assert (missing.status, "on-file" in missing.err) == (1, True)
    nothing = flowforge("triggers", "test", name, "on-file", "--event", "nothing.json")
    assert (nothing.status, "cannot read nothing.json" in nothing.err) == (2, True)


def test_a_changed_trigger_is_tried_on_the_history(flowforge: Flowforge, name: str):
    flowforge("apply", "-f", "flow.yaml", flow=chain(name, more=on_file(10).replace("SOURCE", name)))
    for size in (5, 15):
        flowforge("events", "publish", "file.arrived", "--source", f"/{name}", "--data", f'{{"size": {size}}}')
    flowforge("triggers", "decisions", name, "on-file")
    changed = chain(name, more=on_file(1).replace("SOURCE", name))
    ended = flowforge("triggers", "what-if", "flow.yaml", "on-file", "--since", "2026-01-01", flow=changed)
    assert ended.status == 0, ended.err
    assert "2 would fire of 2 events  (1 did)" in ended.out
    assert flowforge("triggers", "what-if", name, "on-file", "--since", "soon").status == 2


def test_a_backfill_is_shown_first_and_started_only_when_it_is_meant(flowforge: Flowforge, name: str):
    trigger = "triggers:\n  - {id: hourly, type: schedule, config: {cron: '0 * * * *'}}\n"
    flowforge("apply", "-f", "flow.yaml", flow=chain(name, more=trigger))
    words = ("triggers", "backfill", name, "hourly", "--since", "2026-01-01", "--until", "2026-01-01T03:30:00Z")
    unasked = flowforge(*words)
    assert unasked.status == 2
    assert "4 runs to start, from 2026-01-01T00:00:00Z to 2026-01-01T03:30:00Z" in unasked.out
    assert "0 * * * *, UTC" in unasked.out
    assert "2026-01-01T03:00:00Z" in unasked.out
    assert "nothing was started" in unasked.err
    assert "--yes" in unasked.err
    preview = flowforge(*words, "--json")
    assert (preview.status, preview.json["dry_run"], preview.json["count"]) == (0, True, 4)
    done = flowforge(*words, "--json", "--yes")
    assert (done.status, done.json["count"]) == (0, 4)
    again = flowforge(*words, "--yes")
    assert again.status == 0
    assert "0 runs to start" in again.out
    assert "fired already" in again.out
    assert flowforge("triggers", "backfill", name, "hourly", "--since", "soon").status == 2
    many = flowforge("triggers", "backfill", name, "hourly", "--since", "2020-01-01", "--until", "2020-03-01", "--yes")
    assert (many.status, "1,440 runs, one backfill takes 1,000" in many.err) == (1, True)
    assert flowforge("triggers", "backfill", "nowhere", "hourly", "--since", "2026-01-01").status == 1
