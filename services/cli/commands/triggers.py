"""`triggers decisions|upcoming|backfill|configs|test|what-if`: what triggers answered, will answer, would have answered."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import msgspec
from cyclopts import App, Parameter
from flowforge.client import Client
from flowforge.definition import from_text
from flowforge.errors import DefinitionInvalid, Refused
from flowforge.job_types import TriggerType as JobType
from rich.text import Text

from services.cli.connect import Session, json_argument, nearest, no_workflow
from services.cli.glyphs import ago
from services.cli.output import EXIT_USAGE, STDIN, Failure, table

Hidden = Parameter(parse=False)
DECISION_STATES = {
    "fired": "completed", "not_matched": "skipped", "held": "waiting", "suppressed": "cancelled",
    "expired": "cancelled", "failed": "failed",
}  # fmt: skip
_ASIDE = {"fired": "fired already", "pending": "about to fire"}
PREVIEW_ROWS = 20
FILE_ENDINGS = frozenset({".yaml", ".yml", ".json"})
Trigger = dict[str, Any]

app = App(name="triggers", help="Try triggers, and see what they decided.")


@app.command
async def decisions(
    workflow: str,
    trigger: str,
    /,
    *,
    cause: str | None = None,
    decision: Literal["fired", "not_matched", "held", "suppressed", "expired", "failed"] | None = None,
    limit: int = 20,
    session: Annotated[Session, Hidden],
) -> None:
    """Why a trigger fired, or why not; newest first.

    Parameters
    ----------
    workflow
        Id of the workflow.
    trigger
        Id of the trigger.
    cause
        Only the answer to this event; it is computed where none was stored.
    decision
        Only decisions of this kind.
    limit
        At most so many.
    """
    async with session.client() as client:
        try:
            page = await client.decisions(workflow, trigger, cause=cause, decision=decision, limit=limit)
        except Refused as refused:
            if refused.status == 404:
                raise await no_workflow(client, workflow, refused) from refused
            raise
    session.output.json(page)
    if not page["items"]:
        session.output.say(Text("no decisions: no event concerned this trigger", "dim"))
        return
    rows = table("decided", "decision", "cause", "reason", "run")
    for item in page["items"]:
        made = str(item.get("decision", ""))
        rows.add_row(
            Text(ago(item.get("decided_at")), "dim", no_wrap=True),
            session.output.state(DECISION_STATES.get(made, "idle"), made),
            Text(_cause(item.get("cause") or {})),
            Text(_reason(item), "dim"),
            Text(str(item.get("run_id") or ""), "cyan"),
        )
    session.output.say(rows)


def _reason(item: dict[str, Any]) -> str:
    reason, detail = str(item.get("reason") or "").replace("_", " "), str(item.get("detail") or "")
    return f"{reason}: {detail}" if reason and detail else reason or detail


def _cause(cause: dict[str, Any]) -> str:
    return " ".join(str(cause[name]) for name in ("type", "id", "event_id") if cause.get(name))[:60]


@app.command
async def upcoming(workflow: str, trigger: str, /, *, count: int = 10, session: Annotated[Session, Hidden]) -> None:
    """When a schedule fires next.

    Parameters
    ----------
    workflow
        Id of the workflow.
    trigger
        Id of the trigger.
    count
        So many firings.
    """
    async with session.client() as client:
        try:
            items = await client.upcoming(workflow, trigger, count)
        except Refused as refused:
            if refused.status == 404:
                raise await no_workflow(client, workflow, refused) from refused
            raise
    session.output.json({"items": items})
    if not items:
        session.output.say(Text("nothing to come: it is disabled, its workflow is not active, or it has ended", "dim"))
        return
    rows = table("scheduled", "due")
    for item in items:
        rows.add_row(Text(str(item["scheduled_at"]), no_wrap=True), Text(str(item["due_at"]), "dim", no_wrap=True))
    session.output.say(rows)


@app.command
async def backfill(
    workflow: str,
    trigger: str,
    /,
    *,
    since: str,
    until: str | None = None,
    repeat: Annotated[bool, Parameter(negative=())] = False,
    yes: Annotated[bool, Parameter(negative=())] = False,
    session: Annotated[Session, Hidden],
) -> None:
    """Start the runs that a schedule would have started in a span of the past; shows them first, and asks.

    Parameters
    ----------
    workflow
        Id of the workflow.
    trigger
        Id of the trigger.
    since
        From this time on, such as 2026-01-31T08:00:00Z, or a day.
    until
        Before this time; now, where it is left out.
    repeat
        Also those that have fired before.
    yes
        Do not ask. With --json nothing is asked either, and without --yes nothing is started.
    """
    window = (_time("--since", since) or "", _time("--until", until))
    async with session.client() as client:
        try:
            preview = await client.backfill(workflow, trigger, *window, repeat=repeat, dry_run=True)
        except Refused as refused:
            if refused.status == 404:
                raise await no_workflow(client, workflow, refused) from refused
            raise
        _show_preview(session, preview)
        if not preview["count"] or not (yes or _is_agreed(session)):
            session.output.json(preview)
            return
        # what was seen is what is meant, not what has come since
        done = await client.backfill(workflow, trigger, preview["since"], preview["until"], repeat=repeat)
    session.output.json(done)
    session.output.say(
        session.output.state("completed", (f"{_runs(done['count'])} start{'s' if done['count'] == 1 else ''}", "bold")),
        Text(f"  see them with: flowforge runs --label {done['label']}", "cyan"),
    )


def _show_preview(session: Session, preview: dict[str, Any]) -> None:
    aside = [f"{preview[name]:,} {words}" for name, words in _ASIDE.items() if preview[name]]
    session.output.say(
        Text.assemble(
            (f"{_runs(preview['count'])} to start", "bold"),
            f", from {preview['since']} to {preview['until']}",
            (f"  ({', '.join(aside)})" if aside else "", "dim"),
        ),
        Text(f"  {preview['note']}: {_schedule(preview['schedule'])}", "dim"),
    )
    if not preview["items"]:
        return
    rows = table("scheduled", "", "")
    for item in preview["items"][:PREVIEW_ROWS]:
        fires = "starts" + (" again" if item["state"] != "missing" else "") if item["fires"] else "left out"
        state = "" if item["state"] == "missing" else _ASIDE[item["state"]]
        rows.add_row(Text(str(item["scheduled_at"]), no_wrap=True), fires, Text(state, "dim"))
    session.output.say(rows)
    if len(preview["items"]) > PREVIEW_ROWS:
        session.output.say(Text("  … --json shows more", "dim"))


def _runs(count: int) -> str:
    return f"{count:,} run{'' if count == 1 else 's'}"


def _schedule(config: dict[str, Any]) -> str:
    times = str(config["cron"]) if config.get("cron") else f"every {config.get('every_ms'):,} ms"
    return f"{times}, {config.get('timezone', 'UTC')}"


def _is_agreed(session: Session) -> bool:
    if session.output.as_json:
        return False
    if not sys.stdin.isatty():
        raise Failure("nobody is there to be asked, nothing was started", "start them with --yes", status=EXIT_USAGE)
    session.output.note("Start them? [y/N]")
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


@app.command
async def test(
    place: str,
    trigger: str,
    /,
    *,
    event: str,
    session: Annotated[Session, Hidden],
) -> None:
    """Try a trigger on one event: what it would answer, and why. Nothing is stored.

    Parameters
    ----------
    place
        Id of the workflow, or a definition FILE in which the trigger is new or changed.
    trigger
        Id of the trigger in it.
    event
        The CloudEvent: a file (also as @file), - for stdin, or JSON. `id` and `specversion` may be left out.
    """
    given = _event(event)
    async with session.client() as client:
        written, workflow = await _trigger(client, place, trigger)
        answer = await client.try_trigger(written, given, workflow)
    session.output.json(answer)
    made = str(answer["decision"])
    session.output.say(session.output.state(DECISION_STATES.get(made, "idle"), (made, "bold")))
    if why := _reason(answer):
        session.output.say(Text(f"  {why}"))
    if "input" in answer:
        session.output.say(Text.assemble(("  input  ", "dim"), msgspec.json.encode(answer["input"]).decode()))


@app.command(name="what-if")
async def what_if(
    place: str,
    trigger: str,
    /,
    *,
    since: str | None = None,
    until: str | None = None,
    limit: int = 20,
    session: Annotated[Session, Hidden],
) -> None:
    """Try a trigger on the recorded history, beside what did fire. Nothing is stored.

    Parameters
    ----------
    place
        Id of the workflow, or a definition FILE in which the trigger is new or changed.
    trigger
        Id of the trigger in it.
    since
        Only events received from then on: a time, such as 2026-01-31T08:00:00Z, or a day.
    until
        Only events received before.
    limit
        Show at most so many decisions.
    """
    window = {"since": _time("--since", since), "until": _time("--until", until)}
    async with session.client() as client:
        written, workflow = await _trigger(client, place, trigger)
        with session.output.progress("the history") as told:
            answer = await client.what_if(
                written, workflow, limit=limit, progress=lambda at: told(at["position"], at["last"]), **window
            )
    session.output.json(answer)
    session.output.say(Text.assemble(
        (f"{answer['would_fire']:,} would fire", "bold"), f" of {answer['evaluated']:,} events",
        (f"  ({answer['did_fire']:,} did)", "dim"),
    ))  # fmt: skip
    if not answer["decisions"]["items"]:
        return
    rows = table("received", "decision", "did fire", "cause", "reason")
    for item in answer["decisions"]["items"]:
        made = str(item["decision"])
        rows.add_row(
            Text(ago(item.get("at")), "dim", no_wrap=True),
            session.output.state(DECISION_STATES.get(made, "idle"), made),
            "yes" if item.get("did_fire") else "no",
            Text(_cause(item.get("cause") or {})),
            Text(_reason(item), "dim"),
        )
    session.output.say(rows)


@app.command
async def configs(
    workflow: str,
    /,
    *,
    enable: tuple[JobType, ...] = (),
    disable: tuple[JobType, ...] = (),
    on_failure: bool | None = None,
    job_name: str | None = None,
    across_experiments: bool | None = None,
    session: Annotated[Session, Hidden],
) -> None:
    """Which job types start the workflow. With --enable or --disable they are changed first; the others stay.

    Parameters
    ----------
    workflow
        Id of the workflow.
    enable
        Jobs of this type start it; may be given several times.
    disable
        Jobs of this type start it no more; may be given several times.
    on_failure
        Of those that are enabled: also jobs that failed.
    job_name
        Of those that are enabled: only jobs of this name, exact or with *; an empty one for any.
    across_experiments
        Of those that are enabled: jobs of any experiment.
    """
    options = {"on_failure": on_failure, "job_name": job_name, "across_experiments": across_experiments}
    wanted = {name: value or None for name, value in options.items() if value is not None}
    if both := sorted({*enable} & {*disable}):
        raise Failure(f"{both[0]} is to be enabled and disabled", status=EXIT_USAGE)
    if wanted and not enable:
        raise Failure("the options are for the types to enable", "name them with --enable TYPE", status=EXIT_USAGE)
    async with session.client() as client:
        found = await _workflow(client, workflow)
        shown: list[Trigger] = found["trigger_configs"]
        if enable or disable:
            changed = [_changed(config, enable, disable, wanted) for config in shown]
            saved = await client.set_trigger_configs(workflow, changed, expected_version=found["version"])
            shown = saved["trigger_configs"]
    session.output.json({"trigger_configs": shown})
    rows = table("job type", "starts it", "options")
    for config in shown:
        state = session.output.state(*(("completed", "yes") if config["is_enabled"] else ("idle", "no")))
        rows.add_row(str(config["trigger_type"]), state, Text(_options(config), "dim"))
    session.output.say(rows)


def _changed(config: Trigger, enable: Sequence[str], disable: Sequence[str], wanted: Trigger) -> Trigger:
    if config["trigger_type"] in enable:
        changed = {**config, "is_enabled": True, **wanted}
        return {name: value for name, value in changed.items() if value is not None}
    return {**config, "is_enabled": False} if config["trigger_type"] in disable else config


def _options(config: Trigger) -> str:
    words = {"on_failure": "also failed ones", "across_experiments": "of any experiment"}
    told = [text for name, text in words.items() if config.get(name)]
    return ", ".join(told + ([f"named {config['job_name']}"] if config.get("job_name") else []))


def _event(given: str) -> dict[str, Any]:
    is_text = given == STDIN or given.startswith(("@", "{"))
    event = json_argument("--event", given if is_text else f"@{given}")
    if not isinstance(event, dict):
        raise Failure("--event: a CloudEvent is a JSON object", status=EXIT_USAGE)
    return cast("dict[str, Any]", event)


def _time(option: str, given: str | None) -> str | None:
    if given is None:
        return None
    try:
        at = datetime.fromisoformat(given)
    except ValueError as fault:
        step = "such as 2026-01-31 or 2026-01-31T08:00:00Z"
        raise Failure(f"{option}: {given} is no time", step, status=EXIT_USAGE) from fault
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).isoformat()


async def _trigger(client: Client, place: str, trigger: str) -> tuple[Trigger, str | None]:
    """The trigger, and the workflow on the server that it belongs to, where there is one."""
    is_file = _is_file(place)
    definition = _read(Path(place)) if is_file else await _workflow(client, place)
    triggers: list[Trigger] = [one for one in definition.get("triggers") or [] if isinstance(one, dict)]
    found = next((one for one in triggers if one.get("id") == trigger), None)
    if found is None:
        step = nearest(trigger, [str(one.get("id")) for one in triggers])
        raise Failure(f"there is no trigger {trigger} in {place}", step)
    if not is_file:
        return found, place
    return found, await _if_known(client, str(definition.get("id") or ""))


def _is_file(place: str) -> bool:
    return Path(place).suffix in FILE_ENDINGS or Path(place).is_file()


async def _workflow(client: Client, workflow: str) -> dict[str, Any]:
    try:
        return await client.get_workflow(workflow)
    except Refused as refused:
        if refused.status == 404:
            raise await no_workflow(client, workflow, refused) from refused
        raise


async def _if_known(client: Client, workflow: str) -> str | None:
    try:
        return str((await client.get_workflow(workflow))["id"]) if workflow else None
    except Refused as refused:
        if refused.status == 404:
            return None
        raise


def _read(path: Path) -> dict[str, Any]:
    try:
        document = from_text(path.read_bytes())
    except OSError as fault:
        raise Failure(f"cannot read {path}: {fault.strerror}", status=EXIT_USAGE) from fault
    except DefinitionInvalid as fault:
        raise Failure(f"{path}: {fault}", f"see: flowforge validate {path}", status=EXIT_USAGE) from fault
    if not isinstance(document, dict):
        raise Failure(f"{path} holds no workflow", f"see: flowforge validate {path}", status=EXIT_USAGE)
    return cast("dict[str, Any]", document)
