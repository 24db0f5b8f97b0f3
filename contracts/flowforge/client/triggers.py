"""What starts workflows, what it decided and why: the part of `Client` for it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec

from flowforge import definition, following
from flowforge.client.room import Moment, Room, moment

HISTORY_TIMEOUT_S = 120.0
"""For an answer that takes reading the whole history."""
Trigger = definition.Trigger | Mapping[str, Any]


class Triggers(Room):
    """A trigger or workflow that is not there raises `Missing`; one that makes no sense `Invalid`."""

    async def triggers(self, workflow_id: str, *, at: Moment | None = None) -> list[dict[str, Any]]:
        """The workflow's triggers in force, now or `at` a past moment."""
        return (await self._read(f"/api/workflows/{workflow_id}/triggers", at=moment(at)))["items"]

    async def add_trigger(
        self, workflow_id: str, trigger: Trigger, *, expected_version: int | None = None
    ) -> dict[str, Any]:
        """One more trigger; answers as a save. Raises `Conflict` where its id is taken."""
        path = f"/api/workflows/{workflow_id}/triggers"
        return await self._write("POST", path, _plain(trigger), expected_version=expected_version)

    async def change_trigger(
        self, workflow_id: str, trigger_id: str, patch: Mapping[str, Any], *, expected_version: int | None = None
    ) -> dict[str, Any]:
        """Change it by a JSON merge patch (RFC 7396), such as `{"enabled": False}`; answers as a save."""
        path = f"/api/workflows/{workflow_id}/triggers/{trigger_id}"
        return await self._write("PATCH", path, dict(patch), expected_version=expected_version)

    async def remove_trigger(self, workflow_id: str, trigger_id: str) -> dict[str, Any]:
        """It fires no more; what it decided stays. Answers as a save."""
        return await self._write("DELETE", f"/api/workflows/{workflow_id}/triggers/{trigger_id}")

    async def change_triggers(self, changes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Many at once, each `{workflow_id, trigger_id, enabled?, patch?}`; per item what became of it."""
        return await self._write("PUT", "/api/triggers", {"items": [dict(change) for change in changes]})

    async def fire(
        self,
        workflow_id: str,
        trigger_id: str,
        input: object = None,  # noqa: A002 - the word of the field
        *,
        variables: Mapping[str, object] | None = None,
        labels: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> str:
        """Fire a trigger by hand, and answer the run's id. Refused while the trigger is disabled."""
        body = {"input_data": input, "variables": variables or {}, "labels": labels or {}}
        path = f"/api/workflows/{workflow_id}/triggers/{trigger_id}/fire"
        return str((await self._write("POST", path, body, key=idempotency_key))["run_id"])

    async def backfill(
        self,
        workflow_id: str,
        trigger_id: str,
        since: str,
        until: str | None = None,
        *,
        repeat: bool = False,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> dict[str, Any]:
        """Start a run for each nominal time of a schedule in [since, until) that has not fired; `repeat` for all of them.

        Answers `{backfill_id, position, count, label, …}`; with `dry_run` nothing is recorded, and the answer lists the
        times in `items`, each with what would become of it. `until` is now where it is left out.
        """
        body: dict[str, Any] = {"since": since, "repeat": repeat, "dry_run": dry_run}
        body |= {} if until is None else {"until": until}
        path = f"/api/workflows/{workflow_id}/triggers/{trigger_id}/backfill"
        if dry_run:
            return await self._asking().write("POST", path, body)
        return await self._write("POST", path, body, key=idempotency_key)

    async def decisions(self, workflow_id: str, trigger_id: str, **filters: Any) -> dict[str, Any]:
        """One page of why a trigger fired and why not, newest first. Filters: cause, decision; limit, cursor."""
        return await self._read(f"/api/workflows/{workflow_id}/triggers/{trigger_id}/decisions", **filters)

    async def trigger_stats(self, workflow_id: str, trigger_id: str) -> dict[str, Any]:
        """How often it decided what."""
        return await self._read(f"/api/workflows/{workflow_id}/triggers/{trigger_id}/stats")

    async def upcoming(self, workflow_id: str, trigger_id: str, count: int = 10) -> list[dict[str, Any]]:
        """When a schedule fires next: `scheduled_at` and `due_at` of so many firings."""
        path = f"/api/workflows/{workflow_id}/triggers/{trigger_id}/upcoming"
        return (await self._read(path, count=count))["items"]

    async def all_triggers(self, **filters: Any) -> dict[str, Any]:
        """One page of the triggers of all workflows, with their last decision and next time. Filters: type, search,
        workflow_id; limit, cursor."""
        return await self._read("/api/triggers", **filters)

    async def due(self, limit: int = 20) -> list[dict[str, Any]]:
        """What schedules of all workflows start next, the first first: `{workflow_id, trigger_id, due_at, …}`."""
        return (await self._read("/api/upcoming", limit=limit))["items"]

    async def trigger_blueprints(self) -> list[dict[str, Any]]:
        """The six job types that any workflow may be started by: `{trigger_type, name, description, default_is_enabled}`."""
        return (await self._read("/api/workflows/trigger_blueprints"))["items"]

    async def set_trigger_configs(
        self, workflow_id: str, configs: Sequence[Mapping[str, Any]], *, expected_version: int | None = None
    ) -> dict[str, Any]:
        """Set all six job-type triggers of a workflow, `{trigger_type, is_enabled}` and options each.

        Answers as a save, and `trigger_configs`. With `expected_version` refused (412) when somebody else saved meanwhile.
        """
        path = f"/api/workflows/{workflow_id}/trigger_configs"
        return await self._write("PUT", path, {"configs": list(configs)}, expected_version=expected_version)

    async def try_trigger(
        self, trigger: Trigger, event: Mapping[str, Any], workflow_id: str | None = None
    ) -> dict[str, Any]:
        """What a trigger would answer to an event, `{decision, reason, detail, input?}`; nothing is stored."""
        body = {"trigger": _plain(trigger), "event": event, "workflow_id": workflow_id}
        return await self._asking().write("POST", "/api/triggers/test", body)

    async def what_if(
        self,
        trigger: Trigger,
        workflow_id: str | None = None,
        *,
        since: str | None = None,
        until: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
        progress: Callable[[dict[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """What a trigger would have answered to the recorded history, beside what did fire; nothing is stored.

        Answers `{evaluated, would_fire, did_fire, decisions {items, next_cursor}}`. `progress` is told
        `{evaluated, position, last}` now and then.
        """
        body = {"trigger": _plain(trigger), "workflow_id": workflow_id, "since": since, "until": until}
        given: dict[str, Any] = {"limit": limit} if cursor is None else {"limit": limit, "cursor": cursor}
        path = "/api/triggers/what-if"
        if progress is not None:
            return await following.answer_of(self._asking(), path, body, progress, HISTORY_TIMEOUT_S, **given)
        return await self._asking().write(
            "POST", f"{path}?{urlencode(given)}", body, answer_timeout_s=HISTORY_TIMEOUT_S
        )


def _plain(trigger: Trigger) -> Mapping[str, Any]:
    if isinstance(trigger, Mapping):
        return trigger
    plain: dict[str, Any] = msgspec.to_builtins(trigger)
    return plain
