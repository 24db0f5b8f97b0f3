"""Starting runs, reading them, following them to their end: the part of `Client` for them."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import msgspec

from flowforge import following
from flowforge.client.room import Moment, Room, RunId, moment
from flowforge.views import Run

PAGE_ITEMS_MAX = 1000


class Runs(Room):
    """A run or workflow that is not there raises `Missing`."""

    async def execute(
        self,
        workflow_id: str,
        input: object = None,  # noqa: A002 - the word of the field
        *,
        variables: Mapping[str, object] | None = None,
        version: int | None = None,
        labels: Mapping[str, str] | None = None,
        priority: int = 0,
        timeout_ms: int | None = None,
        from_node: str | None = None,
        breakpoints: Sequence[str] = (),
        override_running: bool = False,
        skip_dependency_check: bool = False,
        idempotency_key: str | None = None,
    ) -> str:
        """Start a run, and answer its id. The same `idempotency_key` again answers the same run.

        `from_node`: only that node and what lies below it runs, with `input` as its own. The run halts before each of
        `breakpoints`. `override_running`: it waits for no slot of the workflow's `concurrency`.
        """
        body: dict[str, Any] = {"input_data": input, "variables": variables or {}, "labels": labels or {}}
        body |= {"priority": priority} if priority else {}
        body |= {"version": version} if version is not None else {}
        body |= {"from_node": from_node} if from_node is not None else {}
        body |= {"breakpoints": list(breakpoints)} if breakpoints else {}
        options: dict[str, Any] = {} if timeout_ms is None else {"timeout_ms": timeout_ms}
        options |= {"override_running": True} if override_running else {}
        options |= {"skip_dependency_check": True} if skip_dependency_check else {}
        body |= {"options": options} if options else {}
        answer = await self._write("POST", f"/api/workflows/{workflow_id}/execute", body, key=idempotency_key)
        return str(answer["run_id"])

    async def run(self, run_id: RunId) -> Run:
        """The run as it stands, with one row per node in `node_runs`; a notebook shows it as a diagram."""
        return Run(await self._read(f"/api/runs/{run_id}"))

    async def state(self, run_id: RunId, at: Moment | None = None) -> Run:
        """The run as it was at a past moment, a position of the log or a time; `as_of` is the last event it had then."""
        return Run(await self._read(f"/api/runs/{run_id}/state", at=moment(at)))

    async def run_diff(self, run_id: RunId, other: RunId) -> dict[str, Any]:
        """What differs from a run to another, such as a fork of it: `{fields, nodes, is_fork, …}`."""
        return await self._read(f"/api/runs/{run_id}/diff", **{"with": str(other)})

    async def runs(self, **filters: Any) -> dict[str, Any]:
        """One page, newest first: `{items, next_cursor}`. Filters: workflow_id, status, trigger_type, label, since,
        until, parent_run_id, active_at, shadow; limit, cursor."""
        return await self._read("/api/runs", **filters)

    async def events(self, run_id: RunId, *, limit: int | None = None) -> AsyncGenerator[dict[str, Any]]:
        """What happened in the run so far, oldest first, page by page; at most `limit`."""
        left, cursor = limit, None
        while left is None or left > 0:
            count = PAGE_ITEMS_MAX if left is None else min(left, PAGE_ITEMS_MAX)
            page = await self._read(f"/api/runs/{run_id}/events", limit=count, cursor=cursor)
            for event in page["items"]:
                yield event
            left, cursor = None if left is None else left - len(page["items"]), page.get("next_cursor")
            if cursor is None:
                return

    async def jobs(self, run_id: RunId, **filters: Any) -> dict[str, Any]:
        """One page of the jobs that the run handed out: `{items, next_cursor}`. Filters: limit, cursor."""
        return await self._read(f"/api/runs/{run_id}/jobs", **filters)

    async def logs(self, run_id: RunId, **filters: Any) -> dict[str, Any]:
        """One page of what the run's jobs wrote, oldest first. Filters: node_id, instance, attempt; limit, cursor."""
        return await self._read(f"/api/runs/{run_id}/logs", **filters)

    async def metrics(self, run_id: RunId) -> dict[str, Any]:
        """`{average_node_duration_ms, longest_running_node, bottleneck_nodes, parallelism_utilization, critical_path,
        sequential_duration_ms, …}`"""
        return await self._read(f"/api/runs/{run_id}/metrics")

    async def causes(self, run_id: RunId) -> dict[str, Any]:
        """What led to the run: itself first, the run that the first event of all started last."""
        return await self._read(f"/api/runs/{run_id}/causes")

    async def effects(self, run_id: RunId, **page: Any) -> dict[str, Any]:
        """One page of the runs that this one led to, in the order in which they were created: limit, cursor."""
        return await self._read(f"/api/runs/{run_id}/effects", **page)

    async def timeline(self, run_id: RunId) -> dict[str, Any]:
        """Which node ran from when to when, as a Gantt chart needs it."""
        return await self._read(f"/api/runs/{run_id}/timeline")

    async def follow(self, run_id: RunId) -> AsyncGenerator[dict[str, Any]]:
        """Every event of the run, from its first, each once, as it happens; ends with the one that ends the run (of a run
        that was retried, the last).

        Goes on by itself after a disconnect or a restart of the server.
        """
        asking = self._asking()
        query: dict[str, Any] = {"after": asking.position} if asking.position else {}
        position = 0
        async with contextlib.aclosing(following.follow(asking, f"/api/runs/{run_id}/stream", **query)) as told:
            async for message in told:
                event: dict[str, Any] = msgspec.json.decode(message.data)
                if event["position"] <= position:
                    continue
                position = event["position"]
                asking.remember(position)
                yield event

    async def follow_all(
        self, workflow_id: str | None = None, *, after: int | None = None, types: Sequence[str] = ()
    ) -> AsyncGenerator[dict[str, Any]]:
        """Every event, or those of one workflow and its runs, as they happen, each once, without end; `types`: only these.

        From now on, or from after a position of the log. Goes on by itself as `follow` does; raises Refused where the
        server comes back with another log.
        """
        asking = self._asking()
        position, last_id = after or 0, "" if after is None else str(after)
        query: dict[str, Any] = {"workflow_id": workflow_id} if workflow_id is not None else {}
        query |= {"types": ",".join(types)} if types else {}
        async with contextlib.aclosing(following.follow(asking, "/api/stream", last_id, **query)) as told:
            async for message in told:
                event: dict[str, Any] = msgspec.json.decode(message.data)
                if event["position"] > position:
                    position = event["position"]
                    yield event

    async def wait(self, run_id: RunId, timeout_s: float | None = None) -> Run:
        """The run once it has ended. Raises TimeoutError when `timeout_s` is up first."""
        async with asyncio.timeout(timeout_s):
            async with contextlib.aclosing(self.follow(run_id)) as told:
                async for _ in told:
                    pass
            return await self.run(run_id)
