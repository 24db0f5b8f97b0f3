"""Random workflows, driven at random, end as the oracle says, however their messages were mixed, repeated and delayed."""

from random import Random
from typing import Any

from tests.unit.execution.oracle import BEFORE, Answer, End, Place, Question, foretell, retried
from tests.unit.execution.random_histories import Chances, RandomHistory
from tests.unit.execution.random_workflows import FLAGS, random_workflow


def check(history: RandomHistory, question: Question) -> Answer:
    answer = foretell(question)
    wrong: list[str] = []
    for place, end in answer.places.items():
        if end.at == BEFORE:
            continue
        seen = history.seen.get(place)
        told = ("idle", "", None) if seen is None else (seen.status, seen.reason, _plain(seen.output))
        output = _plain(end.output) if end.status == "completed" else None
        if told != (end.status, end.reason, output):
            wrong.append(f"{place}: is {told}, should be {(end.status, end.reason, output)} (rank {end.at})")
    assert not wrong, "\n".join(wrong)
    assert history.run.status == answer.status
    if answer.status in ("completed", "partial"):
        import msgspec

        output = next(e.output for e, _ in reversed(history.events) if type(e).__name__ in ("RunCompleted", "RunPartiallyCompleted"))
        assert _plain(msgspec.json.decode(output)) == _plain(answer.output)
    return answer


def _plain(value: Any) -> Any:
    """Without what only the engine can know of an approval."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {} if "decided_at" in value or str(value.get("by", "")).startswith("approval") else {name: _plain(each) for name, each in value.items()}
    return value


def try_one(seed: int, size: int) -> None:
    rng = Random(seed)
    definition = random_workflow(rng, size)
    flags = {flag: rng.random() < 0.5 for flag in FLAGS}
    chances = Chances(
        failure=rng.choice([0, 0.05, 0.2, 0.5]),
        cancel=rng.choice([0, 0, 0, 0.05]),
        timeout=rng.choice([0, 0, 0, 0.03]),
        pause=rng.choice([0, 0.05]),
    )
    from_node = rng.choice([None, None, None, rng.choice(definition["nodes"])["id"]])
    history = RandomHistory(definition, seed, chances, flags, from_node)
    history.start()
    kept = {} if from_node is None else not_selected(history, from_node)
    instances: dict[Place, End] = {}
    for _ in range(3):
        history.go_on()
        answer = check(
            history,
            Question(
                history.workflow, history, history.nature, flags, history.cancelled_at, history.timed_out_at, from_node,
                kept, instances,
            ),
        )  # fmt: skip
        instances |= {
            place: End("completed", output=seen.output, at=BEFORE)
            for place, seen in history.seen.items()
            if place.path and seen.status == "completed"
        }
        named = [] if rng.random() < 0.7 else [rng.choice(history.workflow.nodes).id]
        again = retried(history.workflow, answer.ends, named)
        assert history.retry(*named) == bool(again.cleared)
        if not again.cleared:
            break
        kept = {name: end._replace(at=BEFORE) for name, end in answer.ends.items() if name not in again.cleared}


def not_selected(history: RandomHistory, from_node: str) -> dict[str, End]:
    from tests.unit.execution.oracle import Shape

    shape = Shape(history.workflow.nodes, history.workflow.effective_edges())
    selected = {from_node} | shape.below([from_node])
    return {name: End("skipped", "not_selected", at=BEFORE) for name in shape.nodes if name not in selected}
