"""Every example runs to the end that it promises; a stranger's mistakes get answers that say where and how to mend."""

import json
import re
import secrets
from pathlib import Path
from typing import Any

import pytest
from flowforge import Client

from infra.embedded.cluster import Cluster
from tests.e2e.conftest import EXAMPLES
from tests.integration.cli.command import Ended, Flowforge


def output(ended: Ended) -> Any:
    """What the run gave, from the events that `run --watch --json` told."""
    assert ended.status == 0, ended.out + ended.err
    last = ended.lines[-1]
    assert last["type"] == "RunCompleted"
    return last["data"].get("output")


async def decided(cluster: Cluster, workflow: str, trigger: str, cause: str) -> dict[str, Any]:
    """What the trigger decided about the event, once it did; the test's own timeout ends the wait."""
    async with Client(home=cluster.home.folder) as client:
        while True:
            page = await client.decisions(workflow, trigger, cause=cause)
            if page["items"]:
                return page["items"][0]


# --- to the end that they promise -------------------------------------------------------------------------------------


def test_every_example_is_tried_here():
    told = Path(__file__).read_text()
    names = [file.stem for file in EXAMPLES.glob("*.yaml")]
    assert len(names) >= 6
    assert [name for name in names if f'"{name}"' not in told] == []


def test_hello_greets_whom_its_variable_names(examples: Flowforge):
    assert output(examples("run", "hello", "--watch", "--json")) == {"greeting": "Hello, world!"}
    named = examples("run", "hello", "--var", "who=Ada", "--watch", "--json")
    assert output(named) == {"greeting": "Hello, Ada!"}


def test_a_chain_runs_in_the_order_of_order_index(examples: Flowforge):
    ended = examples("run", "chain", "--input", '"the quick brown fox"', "--watch", "--json")
    assert output(ended) == {"sentence": "4 words, the longest is quick"}
    completed = [event["data"]["node_id"] for event in ended.lines if event["type"] == "NodeCompleted"]
    assert completed == ["split", "count", "say"]


def test_a_nightly_schedule_says_when_it_fires_next(examples: Flowforge):
    ended = examples("triggers", "upcoming", "nightly", "every-night", "--count", "3", "--json")
    [told] = ended.lines
    assert [item["scheduled_at"][13:] for item in told["items"]] == [":30:00Z"] * 3
    by_hand = examples("run", "nightly", "--input", '{"night": "today"}', "--watch", "--json")
    assert output(by_hand) == {"report": "the night of today"}


async def test_the_end_of_a_report_is_announced(examples: Flowforge, cluster: Cluster, tmp_path: Path):
    given = {"dataset": "Announced", "folder": str(EXAMPLES / "data"), "report": str(tmp_path / "report.md")}
    assert examples("run", "csv-report", "--input", json.dumps(given), "--watch", "--json").status == 0
    async with Client(home=cluster.home.folder) as client:
        [report] = (await client.runs(workflow_id="csv-report", limit=1))["items"]
        announced: list[dict[str, Any]] = []
        while not announced:
            runs = (await client.runs(workflow_id="announce", limit=50))["items"]
            announced = [run for run in runs if run["input_data"]["run_id"] == report["run_id"]]
    told = output(examples("watch", announced[0]["run_id"], "--json"))
    assert told == {"text": f"19150 rows in 5 files: {tmp_path / 'report.md'}"}
    shown = examples("why", announced[0]["run_id"]).out
    assert [word for word in ("announce", "dependency after-report", "csv-report", "manual") if word not in shown] == []


async def test_three_sign_ups_make_one_digest(examples: Flowforge, cluster: Cluster):
    said = [
        examples(
            "events",
            "publish",
            "user.signed-up",
            "--source",
            "site",
            "--data",
            f'{{"name": "user {number}"}}',
            "--json",
        )
        for number in range(3)
    ]
    fired = await decided(cluster, "digest", "on-sign-up", said[-1].json["id"])
    told = output(examples("watch", fired["run_id"], "--json"))
    assert told == {"text": "3 new: user 0, user 1, user 2"}


async def test_a_heartbeat_keeps_the_watchdog_quiet(examples: Flowforge, cluster: Cluster):
    said = examples("events", "publish", "heartbeat", "--source", "pump-7", "--json")
    told = await decided(cluster, "watchdog", "silence", said.json["id"])
    assert (told["decision"], told["reason"]) == ("not_matched", "absent_for_ms")


def test_of_one_customer_one_import_runs_at_a_time(examples: Flowforge):
    words = ("run", "one-at-a-time", "--input", '{"customer": "acme"}', "--json")
    first = examples(*words).json["run_id"]
    second = examples(*words, "--watch")
    assert output(second) == {"imported": "acme"}
    [queued] = [event for event in second.lines if event["type"] == "RunQueued"]
    assert queued["data"]["waits"]["holders"] == [first]
    assert examples("watch", first, "--json").status == 0
    assert examples("triggers", "decisions", "one-at-a-time", "manual").status == 0


def test_fan_out_keeps_the_order_and_its_limit(examples: Flowforge):
    ended = examples("run", "fan-out", "--input", '{"numbers": [5, 4, 3, 2, 1]}', "--watch", "--json")
    assert output(ended) == {"squares": [25, 16, 9, 4, 1], "greatest": 25, "above_ten": 2}
    under_way = highest = 0
    for event in ended.lines:
        if event["data"].get("instance"):
            under_way += {"NodeQueued": 1, "NodeCompleted": -1}.get(event["type"], 0)
        highest = max(highest, under_way)
    assert highest == 3


def test_fan_out_over_nothing_joins_nothing(examples: Flowforge):
    ended = examples("run", "fan-out", "--input", '{"numbers": []}', "--watch", "--json")
    assert ended.status == 1, "the greatest of an empty list is asked for"
    error = ended.lines[-1]["data"]["error"]
    assert (error["code"], error["affected_nodes"]) == ("EXPRESSION_ERROR", ["join"])
    assert "math.greatest" in error["message"]


async def test_a_large_order_starts_a_run_and_a_small_one_says_why_not(examples: Flowforge, cluster: Cluster):
    causes: list[str] = []
    for price in (420, 2):
        order = {"id": 7, "lines": [{"item": "oak table", "price": price, "count": 1}]}
        said = examples("events", "publish", "order.placed", "--source", "shop", "--data", json.dumps(order), "--json")
        causes.append(said.json["id"])
    fired = await decided(cluster, "large-order", "on-order", causes[0])
    assert fired["decision"] == "fired"
    watched = examples("watch", fired["run_id"], "--json")
    assert output(watched) == {"text": "order 7: 1 lines, the dearest for 420"}
    refused = await decided(cluster, "large-order", "on-order", causes[1])
    assert (refused["decision"], refused["run_id"]) == ("not_matched", None)
    assert "line.price * line.count >= 100" in refused["reason"]


def test_csv_report_writes_the_report_when_started_by_hand(examples: Flowforge, tmp_path: Path):
    report = tmp_path / "report.md"
    given = {"dataset": "By hand", "folder": str(EXAMPLES / "data"), "report": str(report)}
    ended = examples("run", "csv-report", "--input", json.dumps(given), "--watch", "--json")
    assert output(ended) == {"report": str(report), "files": 5, "rows": 19150}
    assert report.read_text().startswith("# By hand\n\n5 files, 19,150 rows, 37 columns (30 numeric), 46,835 values")
    run_id = examples("runs", "--workflow", "csv-report", "--json").json["items"][0]["run_id"]
    assert re.search(r"statistics\[0\] +iowa-electricity\.csv: 51 rows, 3 columns", examples("logs", run_id).out)


def test_csv_report_without_files_fails_and_says_which_folder(examples: Flowforge, tmp_path: Path):
    given = {"dataset": "Nothing", "folder": str(tmp_path), "report": str(tmp_path / "report.md")}
    ended = examples("run", "csv-report", "--input", json.dumps(given), "--watch", "--json")
    error = ended.lines[-1]["data"]["error"]
    assert (ended.status, error["affected_nodes"]) == (1, ["list-files"])
    assert f"no CSV files in {tmp_path}" in error["message"]


async def test_retry_and_cleanup_ends_as_its_comment_says(examples: Flowforge, cluster: Cluster):
    ended = examples("run", "retry-and-cleanup", "--watch", "--json")
    assert (ended.status, ended.lines[-1]["type"]) == (1, "RunFailed")
    async with Client(home=cluster.home.folder) as client:
        page = await client.runs(workflow_id="retry-and-cleanup", limit=1)
        run = await client.run(page["items"][0]["run_id"])
    nodes = {node["node_id"]: (node["status"], node["attempt"]) for node in run["node_runs"]}
    assert nodes["fetch"] == ("completed", 3)
    assert {name: status for name, (status, _) in nodes.items() if name != "fetch"} == {
        "start": "completed", "copy": "cancelled", "book": "failed", "publish": "skipped", "alarm": "completed",
        "clean-up": "completed",
    }  # fmt: skip
    assert run["error"]["code"] == "LEDGER_CLOSED"
    assert run["error"]["suggested_resolution"]


# --- a stranger's mistakes --------------------------------------------------------------------------------------------

MISTAKES = {
    "a field misspelt": (
        "nodes:\n  - {id: a, type: script, langage: bash, source: 'true'}",
        r"stranger\.yaml:4:27",
        "did you mean `language`?",
    ),
    "a type that is none": (
        "nodes:\n  - {id: a, type: jobb, job_type: x}",
        r"stranger\.yaml:4:19",
        "did you mean `job`?",
    ),
    "two nodes of one name": (
        "nodes:\n  - {id: a, type: start}\n  - {id: a, type: end}",
        r"stranger\.yaml:5:10",
        "give one of them another id",
    ),
    "an edge to nowhere": (
        "nodes:\n  - {id: a, type: start}\nedges:\n  - {source_node_id: a, target_node_id: b}",
        r"stranger\.yaml:6:41",
        "add the node, or remove the edge",
    ),
    "a circle": (
        "nodes: [{id: a, type: start}, {id: b, type: end}]\nedges:\n"
        + "  - {source_node_id: a, target_node_id: b}\n  - {source_node_id: b, target_node_id: a}",
        r"wait for each other: a → b → a",
        "remove one of the edges",
    ),
    "half an expression": (
        "nodes:\n  - {id: a, type: data_transform, expressions: {x: '${input.n +}'}}",
        r"ends too early at 1:10",
        "names in ${…} are",
    ),
    "a name that is not there": (
        "nodes:\n  - {id: a, type: data_transform, expressions: {x: '${imput.n}'}}",
        r"'imput'",
        "input",
    ),
    "a wrong type": (
        "nodes:\n  - {id: a, type: start}\nsettings: {max_parallel_jobs: many}",
        r"stranger\.yaml:5:31",
        "give a value of the expected type",
    ),
    "broken YAML": (
        "nodes: [\n  - {id: a",
        r"stranger\.yaml:\d+:\d+",
        "neither JSON nor YAML",
    ),
    "no nodes": ("", r"stranger\.yaml", "add `nodes`"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_file_is_answered_with_its_place_and_remedy(mistake: str, flowforge: Flowforge, tmp_path: Path):
    body, place, remedy = MISTAKES[mistake]
    (tmp_path / "stranger.yaml").write_text(f"id: stranger\nname: A stranger's first try\n{body}\n")
    for words in (["validate", "stranger.yaml"], ["apply", "-f", "stranger.yaml"]):
        ended = flowforge(*words, cwd=tmp_path)
        told = ended.out + ended.err
        assert ended.status == 1, told
        assert re.search(place, told), told
        assert remedy in told, told
        assert "Traceback" not in told
    assert flowforge("run", "stranger").status == 1


def test_one_wrong_file_in_a_folder_keeps_the_others_out(flowforge: Flowforge, tmp_path: Path):
    name = f"good-{secrets.token_hex(4)}"
    (tmp_path / "good.yaml").write_text(f"{{id: {name}, name: Good, nodes: [{{id: a, type: start}}]}}")
    (tmp_path / "wrong.yaml").write_text("{id: wrong, name: Wrong, nodes: 3}")
    ended = flowforge("apply", "-f", ".", cwd=tmp_path)
    assert (ended.status, ended.out) == (1, "")
    assert "nothing was applied" in ended.err
    assert flowforge("run", name).status == 1


WRONG_RUNS = {
    "an unknown workflow": (["run", "helo"], 1, "did you mean hello?"),
    "input that is no JSON": (["run", "chain", "--input", "{n: 1}"], 2, "is no valid JSON"),
    "input of the wrong type": (["run", "chain", "--input", "17"], 1, '17 is not of type "string"'),
    "input with a wrong item": (["run", "fan-out", "--input", '{"numbers": ["x"]}'], 1, "$.input_data.numbers[0]"),
    "a part of the input missing": (["run", "csv-report", "--input", "{}"], 1, '"folder" is a required property'),
    "an unknown run": (["watch", "01a1fc02-20a2-78b9-8ddf-7a6890c9068b"], 1, "flowforge runs"),
    "an unknown trigger": (["triggers", "decisions", "hello", "by-chance"], 1, "by-chance"),
    "a key that is none": (["--key", "guessed", "runs"], 1, "does not know the key"),
    "no such command": (["aply"], 2, "did you mean: flowforge apply"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_RUNS)
def test_a_wrong_command_is_answered_in_a_sentence(case: str, examples: Flowforge):
    words, status, told = WRONG_RUNS[case]
    ended = examples(*words)
    assert (ended.status, ended.out) == (status, ""), ended.out + ended.err
    assert told in ended.err
    assert "Traceback" not in ended.err


def test_what_is_too_large_is_refused_with_both_sizes(examples: Flowforge, tmp_path: Path):
    large = tmp_path / "large.json"
    large.write_text(json.dumps("x" * 1_200_000))
    for words in (["run", "chain", "--input", f"@{large}"], ["events", "publish", "big", "--data", f"@{large}"]):
        ended = examples(*words)
        assert ended.status == 1
        assert re.search(r"has 117\d KiB, .*(?:limit|takes).* KiB", ended.err), ended.err


def test_without_a_server_it_says_what_to_look_at(flowforge: Flowforge):
    ended = flowforge("--url", "http://127.0.0.1:9", "runs")
    assert ended.status == 3
    assert "no FlowForge answers at http://127.0.0.1:9\n  check --url" in ended.err
