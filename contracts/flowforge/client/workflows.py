"""Definitions, their versions and their graphs: the part of `Client` for them."""

from typing import Any

from flowforge.client.room import Definition, Moment, Room, document, moment
from flowforge.errors import Refused
from flowforge.views import SavedWorkflow


class Workflows(Room):
    """A save answers `{id, version, position, warnings}` and raises `Invalid` with every finding in `errors`; a workflow
    that is not there raises `Missing`."""

    async def create_workflow(self, workflow: Definition) -> dict[str, Any]:
        """Add a workflow. Raises `Conflict` where its id is taken."""
        return await self._write("POST", "/api/workflows", document(workflow))

    async def save_workflow(self, workflow: Definition, *, expected_version: int | None = None) -> dict[str, Any]:
        """Add the workflow, or a new version of it.

        With `expected_version` it raises `Conflict` (412) when somebody else saved another version meanwhile.
        """
        wanted = document(workflow)
        if expected_version is None:
            try:
                return await self._write("POST", "/api/workflows", wanted)
            except Refused as refused:
                if refused.status != 409 or "id" not in wanted:
                    raise
        return await self._write("PUT", f"/api/workflows/{wanted['id']}", wanted, expected_version=expected_version)

    async def get_workflow(
        self, workflow_id: str, version: int | None = None, *, at: Moment | None = None
    ) -> SavedWorkflow:
        """The definition with `version`, `created_at`, `updated_at` and `created_by`; a notebook shows it as a diagram.

        The newest version, the one asked for, or the one in force `at` a past moment.
        """
        return SavedWorkflow(await self._read(f"/api/workflows/{workflow_id}", version=version, at=moment(at)))

    async def list_workflows(self, **filters: Any) -> dict[str, Any]:
        """One page, newest first: `{items, next_cursor}`. Filters: experiment_id, tag, status; limit, cursor."""
        return await self._read("/api/workflows", **filters)

    async def archive_workflow(self, workflow_id: str) -> dict[str, Any]:
        """The workflow starts no more runs; its runs and its history stay."""
        return await self._write("DELETE", f"/api/workflows/{workflow_id}")

    async def validate(self, workflow: Definition) -> dict[str, Any]:
        """What is wrong with a workflow: `{is_valid, errors, warnings, …}`; nothing is stored."""
        return await self._asking().write("POST", "/api/workflows/validate", document(workflow))

    async def workflow_versions(self, workflow_id: str, **filters: Any) -> dict[str, Any]:
        """One page of its versions, newest first: `{items, next_cursor}`. Filters: limit, cursor."""
        return await self._read(f"/api/workflows/{workflow_id}/versions", **filters)

    async def workflow_diff(self, workflow_id: str, from_version: int, to_version: int) -> dict[str, Any]:
        """What changed from one version to another."""
        return await self._read(f"/api/workflows/{workflow_id}/diff", **{"from": from_version, "to": to_version})

    async def roll_back(self, workflow_id: str, version: int) -> dict[str, Any]:
        """Save an older version once more, as the newest. Answers as a save."""
        return await self._write("POST", f"/api/workflows/{workflow_id}/rollback", {"version": version})

    async def graph(self, workflow_id: str, version: int | None = None) -> dict[str, Any]:
        """Nodes, edges, and what loops repeat: `{workflow_id, version, nodes, edges, bodies}`."""
        return await self._read(f"/api/workflows/{workflow_id}/graph", version=version)

    async def active(self, workflow_id: str, **filters: Any) -> dict[str, Any]:
        """One page of what runs now, and by which trigger: `{items, next_cursor}`. Filters: limit, cursor."""
        return await self._read(f"/api/workflows/{workflow_id}/active", **filters)

    async def workflow_activity(self, **filters: Any) -> dict[str, Any]:
        """One page of workflows without their nodes, with their last runs and next firing. Filters: search, tag, status,
        experiment_id, archived; limit, cursor."""
        return await self._read("/api/workflow-activity", **filters)

    async def workflow_stats(self, workflow_id: str, **period: Any) -> dict[str, Any]:
        """What became of a workflow's runs, how long they and their nodes took, by trigger and hour. Filters: since, until."""
        return await self._read(f"/api/workflows/{workflow_id}/stats", **period)
