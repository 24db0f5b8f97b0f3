"""What is said of dependency triggers across workflows."""

from triggers_spec import Spec, on_upstreams


async def told(spec: Spec, workflow_id: str, upstreams: list[str] | None = None) -> tuple[list[str], list[str]]:
    answer = await spec.command("CheckUpstreams", command_id="q", workflow_id=workflow_id, upstreams=upstreams)
    return [warning["message"] for warning in answer["ok"]["warnings"]], answer["ok"]["dependents"]


async def test_a_circle_is_told_with_its_whole_path():
    spec = Spec()
    await spec.workflow("a", on_upstreams("c"))
    await spec.workflow("b", on_upstreams("a"))
    await spec.workflow("c", on_upstreams("b"))
    circle = "workflows start one another in a circle: "
    assert (await told(spec, "a"))[0] == [circle + "a → b → c → a"]
    assert (await told(spec, "b"))[0] == [circle + "b → c → a → b"]


async def test_a_workflow_that_waits_for_itself_is_a_circle_before_it_is_saved():
    assert (await told(Spec(), "a", ["a"]))[0] == ["workflows start one another in a circle: a → a"]


async def test_no_circle_no_warning():
    spec = Spec()
    await spec.workflow("a")
    await spec.workflow("b", on_upstreams("a"))
    await spec.workflow("c", on_upstreams("a", "b"))
    assert await told(spec, "c") == ([], [])
    assert await told(spec, "a") == ([], ["b", "c"])


async def test_an_upstream_that_is_not_there_or_archived_is_told():
    spec = Spec()
    await spec.workflow("old")
    await spec.workflow("w", on_upstreams("old", "never"))
    await spec.archived("old")
    messages, _ = await told(spec, "w")
    assert messages == ["there is no workflow 'never' upstream", "the upstream 'old' is archived: it starts no runs"]


async def test_dependents_of_an_archived_workflow_have_it_among_their_decisions_once():
    spec = Spec()
    await spec.workflow("a")
    await spec.workflow("w", on_upstreams("a"))
    await spec.archived("a")
    spec.restart()
    await spec.event("e")
    assert await spec.decisions() == [("t", "not_matched", "upstream_archived")]
