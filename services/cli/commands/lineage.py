"""`lineage`: what led to a run, back to the first event, and what came of it."""

from typing import Annotated, Any

from cyclopts import Parameter
from flowforge.errors import Refused
from rich.text import Text
from rich.tree import Tree

from services.cli.connect import Session, no_run
from services.cli.output import Failure

Hidden = Parameter(parse=False)
EFFECTS_MAX = 1_000
"""So many runs that came of one are shown."""
_RELATIONS = {"child": "child of it", "fork": "fork of it", "trigger": ""}


async def lineage(run: str, /, *, session: Annotated[Session, Hidden]) -> None:
    """Show what led to a run, back to the first event, and the runs that it led to, directly or through others.

    Parameters
    ----------
    run
        Id of the run.
    """
    async with session.client() as client:
        try:
            causes: list[dict[str, Any]] = (await client.run(run)).get("causes") or []
            page = await client.effects(run, limit=EFFECTS_MAX)
        except Refused as refused:
            if refused.status == 404:
                raise no_run(run, refused) from refused
            raise
    session.output.json({"causes": causes, "effects": page["items"], "next_cursor": page["next_cursor"]})
    if session.output.as_json:
        return
    if not causes:
        raise Failure(f"run {run} tells nothing of its causes")
    top, below = _up(causes)
    _down(below, run, page["items"])
    session.output.say(top)
    if page["next_cursor"]:
        session.output.say(Text(f"… and more than {EFFECTS_MAX:,} came of it", "dim"))


def _up(causes: list[dict[str, Any]]) -> tuple[Tree, Tree]:
    """From the first event down to the run itself; the tree, and the branch of the run."""
    first = causes[-1]["cause"]
    tree = branch = Tree(Text.assemble((first["type"], "cyan"), f" {first['id']}", (f" from {first['source']}", "dim")))
    for step in reversed(causes):
        trigger = step["trigger"]
        style = "bold reverse" if step is causes[0] else "bold"
        branch = branch.add(_line(step, f"by {trigger['type']} {trigger['id']}", style))
    return tree, branch


def _down(branch: Tree, run: str, effects: list[dict[str, Any]]) -> None:
    branches = {run: branch}
    for effect in effects:
        trigger = effect["trigger"]
        how = _RELATIONS[effect["relation"]] or f"by {trigger['type']} {trigger['id']}"
        above = branches.get(effect["caused_by_run_id"], branch)
        branches[effect["run_id"]] = above.add(_line(effect, f"{how}, {effect['status']}", "bold"))


def _line(step: dict[str, Any], how: str, style: str) -> Text:
    return Text.assemble((step["workflow_id"], style), f"  {step['run_id']}  ", (how, "dim"))
