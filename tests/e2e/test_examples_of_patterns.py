"""Each of the well-known control-flow patterns, as its example says it: run on the real system, seen to its end."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import EXAMPLES
from tests.e2e.stranger import Object, Stranger, node_runs, statuses
from tests.e2e.test_examples import output
from tests.integration.cli.command import ROOT, Flowforge

PATTERNS = sorted(file.stem for file in (EXAMPLES / "patterns").glob("*.yaml"))


def given(examples: Flowforge, name: str, value: Any = None) -> Any:
    return output(examples("run", f"pattern-{name}", "--input", json.dumps(value), "--watch", "--json"))


def until_waiting(stranger: Stranger, run_id: str, node_id: str) -> int:
    """The position of the event that says so."""
    waits = (m for m in stranger.follow(run_id) if m.event == "NodeWaiting" and m.data["data"]["node_id"] == node_id)
    return next(waits).id


def test_every_pattern_is_tried_here_and_told_of_in_the_readme():
    tried, readme = Path(__file__).read_text(), (ROOT / "README.md").read_text()
    assert len(PATTERNS) >= 14
    assert [name for name in PATTERNS if f'{name}"' not in tried] == []
    assert [name for name in PATTERNS if f"`{name}.yaml`" not in readme] == []


@pytest.mark.parametrize("name", PATTERNS)
def test_every_pattern_is_valid_and_says_in_a_line_what_it_is(name: str, examples: Flowforge):
    file = EXAMPLES / "patterns" / f"{name}.yaml"
    told = examples("validate", str(file), "--json")
    assert told.status == 0, told.out + told.err
    answer = json.loads(told.out)
    assert (answer["checked_by"], answer["documents"][0]["findings"]) == ("server", [])
    assert file.read_text().startswith("# ")


def test_sequence(examples: Flowforge):
    assert given(examples, "sequence", {"text": "abc"}) == {"message": "first ABC, then ABCABC"}


def test_parallel_split(examples: Flowforge):
    assert given(examples, "parallel-split", {"order": 7}) == {
        "invoice": "invoice 7",
        "parcel": "parcel 7",
        "thanks": {"message": "thank you for order 7"},
    }


@pytest.mark.parametrize(("amount", "by"), [(5, "clerk"), (250, "manager"), (5000, "director")])
def test_exclusive_choice(amount: int, by: str, examples: Flowforge):
    assert given(examples, "exclusive-choice", {"amount": amount}) == {by: {"by": by}}


@pytest.mark.parametrize("ways", [("email", "post"), ("phone",), ()])
def test_multi_choice(ways: tuple[str, ...], examples: Flowforge):
    wanted = {way: way in ways for way in ("email", "phone", "post")}
    assert given(examples, "multi-choice", wanted).keys() == set(ways)


def test_simple_merge(examples: Flowforge):
    assert given(examples, "simple-merge", {"pays_by": "card"}) == {"text": "paid by card"}
    assert given(examples, "simple-merge", {"pays_by": "cash"}) == {"text": "paid in cash"}


def test_synchronising_merge(examples: Flowforge):
    booked = given(examples, "synchronizing-merge", {"hotel": True, "car": False, "flight": True})
    assert booked == {"total": 420, "parts": ["flight", "hotel"]}
    assert given(examples, "synchronizing-merge", {"hotel": False, "car": True, "flight": False})["total"] == 80


def test_discriminator(stranger: Stranger, examples: Flowforge):
    run = stranger.ended(stranger.execute("pattern-discriminator"))
    assert run["output_data"] == {"answer": "the fast one", "slow": "cancelled"}
    assert statuses(run)["slow-checked"] == "skipped"
    assert node_runs(run)["slow-checked"]["skip_reason"] == "branch_lost"


def test_n_of_m_join(stranger: Stranger, examples: Flowforge):
    run = stranger.ended(stranger.execute("pattern-n-of-m-join"))
    assert (run["status"], statuses(run)["alan"]) == ("completed", "failed")
    assert run["output_data"] == {"ada": "fine", "grace": "fine too"}


def test_multiple_instances_with_a_known_number(examples: Flowforge):
    assert given(examples, "known-instances", {"words": ["one", "two", "three"]}) == {"length": 5}


def test_multiple_instances_with_an_unknown_number(examples: Flowforge):
    assert given(examples, "unknown-instances", {"n": 6}) == {"path": [3, 10, 5, 16, 8, 4, 2, 1], "length": 8}
    assert given(examples, "unknown-instances", {"n": 1}) == {"path": [], "length": 0}


def test_cancel_region(examples: Flowforge):
    withdrawn = {"load": "completed", "convert": "cancelled", "publish": "skipped", "audit": "audited"}
    assert given(examples, "cancel-region", {"deadline_ms": 500}) == withdrawn
    kept = {"load": "completed", "convert": "completed", "publish": "completed", "audit": "audited"}
    assert given(examples, "cancel-region", {"deadline_ms": 60_000}) == kept


def test_deferred_choice(stranger: Stranger, examples: Flowforge):
    run_id = stranger.execute("pattern-deferred-choice", input_data={"order": 7, "patience_ms": 60_000})
    until_waiting(stranger, run_id, "paid")
    sent = examples("events", "publish", "pattern.paid", "--source", "/shop", "--data", '{"order": 7}')
    assert sent.status == 0, sent.err
    run = stranger.ended(run_id)
    assert run["output_data"] == {"ship": {"message": "order 7 is on its way"}}
    assert statuses(run)["patience"] == "cancelled"
    impatient = stranger.ended(stranger.execute("pattern-deferred-choice", input_data={"order": 8, "patience_ms": 200}))
    assert impatient["output_data"] == {"remind": {"message": "order 8 is not paid yet"}}
    assert statuses(impatient)["paid"] == "cancelled"


@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_milestone(decision: str, stranger: Stranger, examples: Flowforge):
    run_id = stranger.execute("pattern-milestone", input_data={"text": "we have moved"})
    position = until_waiting(stranger, run_id, "released")
    [approval] = [each for each in stranger.all("/api/approvals", after=position) if each["run_id"] == run_id]
    answer = stranger.send("POST", f"/api/approvals/{approval['id']}", {"decision": decision, "comment": "so be it"})
    assert answer.status_code in (200, 202), answer.text
    run = stranger.ended(run_id)
    done = statuses(run)
    if decision == "approve":
        assert run["status"] == "completed"
        assert (done["publish"], done["announce"], done["shelve"]) == ("completed", "completed", "skipped")
    else:
        assert run["status"] == "failed"
        assert (done["publish"], done["announce"], done["shelve"]) == ("skipped", "skipped", "completed")


def test_arbitrary_retry(stranger: Stranger, examples: Flowforge):
    run_id = stranger.execute("pattern-arbitrary-retry")
    assert stranger.ended(run_id)["status"] == "failed"
    assert retried(stranger, run_id, {"from": "failed"}) == {"measured_at_attempt": 1, "checked_at_attempt": 2}
    from_measure = {"from": "node", "node_id": "measure"}
    assert retried(stranger, run_id, from_measure) == {"measured_at_attempt": 2, "checked_at_attempt": 3}


def retried(stranger: Stranger, run_id: str, body: Object) -> Any:
    """What the run gives in the end, after it went on from there."""
    answer = stranger.send("POST", f"/api/runs/{run_id}/retry", body)
    assert answer.status_code in (200, 202), answer.text
    while (run := stranger.get(f"/api/runs/{run_id}"))["status"] in ("pending", "running"):
        pass
    return run["output_data"]
