"""What people do to runs, from Python: the part of `Client` for it."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from flowforge.asking import Asking
from flowforge.identity import new_uuid

RunId = str | UUID
Moment = str | int | datetime
"""A past moment: a position of the log, or a time, which is UTC where it names no zone."""
BulkAction = Literal["cancel", "retry", "pause", "resume"]


def idempotent(key: str | None = None) -> dict[str, str]:
    """The header under which a request is carried out once."""
    return {"Idempotency-Key": key or str(new_uuid())}


def written(at: Moment | None) -> str | int | None:
    """A moment as it is sent."""
    return at.isoformat() if isinstance(at, datetime) else at


class Operating:
    """Operations on runs, nodes, approvals and dead letters. Each answers `{run_id, status, position}`, and raises
    `Refused` where the run's state forbids it."""

    def _asking(self) -> Asking:
        raise NotImplementedError

    async def _operate(self, path: str, body: object, method: str = "POST") -> dict[str, Any]:
        return await self._asking().write(method, path, body, idempotent())

    async def cancel(self, run_id: RunId, reason: str = "") -> dict[str, Any]:
        """End a run: running jobs are told, cleanup nodes still run."""
        return await self._operate(f"/api/runs/{run_id}/cancel", {"reason": reason})

    async def pause(self, run_id: RunId, reason: str = "") -> dict[str, Any]:
        """Nothing new starts; running jobs finish, timeouts stand still."""
        return await self._operate(f"/api/runs/{run_id}/pause", {"reason": reason})

    async def resume(self, run_id: RunId) -> dict[str, Any]:
        """A paused run goes on."""
        return await self._operate(f"/api/runs/{run_id}/resume", {})

    async def step(self, run_id: RunId, steps: int = 1) -> dict[str, Any]:
        """A paused run goes on until so many nodes have started."""
        return await self._operate(f"/api/runs/{run_id}/step", {"steps": steps})

    async def retry(self, run_id: RunId, node_ids: Iterable[str] = (), reason: str = "") -> dict[str, Any]:
        """An ended run goes on, from what failed, or from these nodes on."""
        names = list(node_ids)
        body = {"from": "node", "node_ids": names, "reason": reason} if names else {"from": "failed", "reason": reason}
        return await self._operate(f"/api/runs/{run_id}/retry", body)

    async def fork(self, run_id: RunId, at: Moment | None = None, **changes: Any) -> str:
        """A new run from a past moment of another (now, where none is named); its id.

        What had completed then is taken over, but for what is changed and all below it. Changes: input_data, variables,
        node_outputs, rerun, version (a number or "latest"), labels, priority, breakpoints, shadow.
        """
        answer = await self._operate(f"/api/runs/{run_id}/fork", {"at": written(at), "changes": changes})
        return answer["run_id"]

    async def change_run(
        self,
        run_id: RunId,
        *,
        priority: int | None = None,
        labels: Mapping[str, str] | None = None,
        breakpoints: Iterable[str] | None = None,
    ) -> dict[str, Any]:
        """Another priority, other labels or breakpoints (all of them); what is None stays."""
        given = {
            "priority": priority,
            "labels": None if labels is None else dict(labels),
            "breakpoints": None if breakpoints is None else list(breakpoints),
        }
        body = {name: value for name, value in given.items() if value is not None}
        return await self._operate(f"/api/runs/{run_id}", body, "PATCH")

    async def bulk(self, action: BulkAction, reason: str = "", **filters: Any) -> dict[str, Any]:
        """The same done to many runs: `{matched, accepted, run_ids, refused, has_more, position}`.

        Filters: workflow_id, status, trigger_type, label, since, until, run_ids.
        """
        given = {name: value for name, value in filters.items() if value is not None}
        return await self._operate("/api/runs/bulk", {"filter": given, "action": action, "reason": reason})

    # --- nodes ------------------------------------------------------------------------------------------------------

    async def node(self, run_id: RunId, node_id: str, **filters: Any) -> dict[str, Any]:
        """A node of a run, with one page of what lies below it in `instances`. Filters: instance, status; limit, cursor."""
        return await self._asking().read(f"/api/runs/{run_id}/nodes/{node_id}", **filters)

    async def complete_node(
        self, run_id: RunId, node_id: str, output: Any = None, *, instance: str = "", comment: str = ""
    ) -> dict[str, Any]:
        """Complete a node by hand, whatever it is doing."""
        body = {"output": output, "instance": instance, "comment": comment}
        return await self._operate(f"/api/runs/{run_id}/nodes/{node_id}/complete", body)

    async def fail_node(
        self, run_id: RunId, node_id: str, message: str = "", *, instance: str = "", comment: str = ""
    ) -> dict[str, Any]:
        """Fail a node by hand, for good."""
        body = {"message": message, "instance": instance, "comment": comment}
        return await self._operate(f"/api/runs/{run_id}/nodes/{node_id}/fail", body)

    async def skip_node(self, run_id: RunId, node_id: str, *, instance: str = "", comment: str = "") -> dict[str, Any]:
        """Skip a node by hand."""
        body = {"instance": instance, "comment": comment}
        return await self._operate(f"/api/runs/{run_id}/nodes/{node_id}/skip", body)

    # --- approvals and dead letters ---------------------------------------------------------------------------------

    async def approvals(self, **filters: Any) -> dict[str, Any]:
        """One page of what waits for a person, newest first. Filters: run_id, workflow_id, status; limit, cursor."""
        return await self._asking().read("/api/approvals", **filters)

    async def decide(
        self, approval_id: str, decision: Literal["approve", "reject"], comment: str = ""
    ) -> dict[str, Any]:
        """Approve or reject."""
        return await self._operate(f"/api/approvals/{approval_id}", {"decision": decision, "comment": comment})

    async def dead_letters(self, **filters: Any) -> dict[str, Any]:
        """One page of messages that could not be handled, newest first. Filters: service, status; limit, cursor."""
        return await self._asking().read("/api/dead-letters", **filters)

    async def retry_dead_letter(self, dead_letter_id: RunId) -> dict[str, Any]:
        """Have a message handled once more: answers `{id, service, position}`."""
        return await self._operate(f"/api/dead-letters/{dead_letter_id}/retry", {})

    # --- numbers, lineage, audit --------------------------------------------------------------------------------------

    async def stats(self, **period: Any) -> dict[str, Any]:
        """The installation in numbers, and who and what runs were for. Of a time: since, until."""
        return await self._asking().read("/api/stats", **period)

    async def workflow_stats(self, workflow_id: str, **period: Any) -> dict[str, Any]:
        """What became of a workflow's runs, how long they and their nodes took, by trigger and hour. Filters: since, until."""
        return await self._asking().read(f"/api/workflows/{workflow_id}/stats", **period)

    async def effects(self, run_id: RunId, **page: Any) -> dict[str, Any]:
        """One page of the runs that this one led to, in the order in which they were created: limit, cursor."""
        return await self._asking().read(f"/api/runs/{run_id}/effects", **page)

    async def audit(self, **filters: Any) -> dict[str, Any]:
        """One page of who did what, newest first. Filters: actor, action, resource, subject, workflow_id, since, until;
        limit, cursor."""
        return await self._asking().read("/api/audit", **filters)
