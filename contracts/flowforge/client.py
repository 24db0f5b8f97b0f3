"""Talking to FlowForge from Python: publish events, save workflows, start runs, follow them to their end.

    async with Client() as client:
        run_id = await client.execute("daily-report", {"region": "eu"})
        async for event in client.follow(run_id):
            print(event["type"])

Beside a running `flowforge up` it finds address and key by itself. What it has written it reads: every write's position
in the log is remembered, and reads wait for it. Writes carry an idempotency key, so that repeating one is harmless.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from nats.aio.client import Client as NatsClient
from nats.errors import Error as NatsError

from flowforge import definition, envelope, following
from flowforge import home as installation
from flowforge.asking import Asking
from flowforge.envelope import CloudEvent
from flowforge.errors import Refused, Unreachable
from flowforge.events import NULL
from flowforge.identity import new_uuid
from flowforge.operating import Moment, Operating, idempotent, written
from flowforge.subjects import Subjects

NATS_CONNECT_TIMEOUT_S = 3.0
NATS_ACK_TIMEOUT_S = 2.0
PUBLISH_TRIES_COUNT = 5
PAGE_ITEMS_MAX = 1000
HISTORY_TIMEOUT_S = 120.0
"""For an answer that takes reading the whole history."""
Definition = definition.Workflow | Mapping[str, Any] | str | bytes
"""A workflow: the type, plain data, or a JSON or YAML text."""


class Client(Operating):
    """A connection to one FlowForge, opened by its first use.

    `url`, `key`, `nats_url` and `home` are found, where not given, in FLOWFORGE_URL, FLOWFORGE_KEY and under
    FLOWFORGE_HOME (endpoints.json, admin.key). Every method raises `Refused` with the problem document when the server
    says no, and `Unreachable`, naming the address and the next step, when nobody answers.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        nats_url: str | None = None,
        home: str | Path | None = None,
        *,
        namespace: str | None = None,
    ) -> None:
        self._home = installation.home_folder(home)
        self._url = url or os.environ.get("FLOWFORGE_URL")
        self._key = key or os.environ.get("FLOWFORGE_KEY")
        self._nats_url = nats_url
        self._subjects = Subjects(installation.namespace(namespace))
        self._http: Asking | None = None
        self._nats: NatsClient | None = None
        self._nats_lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close what was opened; the client may be used again afterwards."""
        http, self._http = self._http, None
        nats, self._nats = self._nats, None
        if http is not None:
            await http.close()
        if nats is not None:
            await nats.close()

    # --- events in --------------------------------------------------------------------------------------------------

    async def publish(
        self,
        type: str,  # noqa: A002 - the attribute's name in CloudEvents
        data: object = None,
        *,
        source: str = "/flowforge/client",
        id: str | None = None,  # noqa: A002 - the attribute's name in CloudEvents
        subject: str | None = None,
    ) -> str:
        """Publish an event, on disk when this returns; answers its id.

        `source` and `id` identify it: the same again starts nothing twice. Goes over NATS where its address is known,
        else over HTTP.
        """
        event = CloudEvent(
            id=id or str(new_uuid()),
            source=source,
            type=type,
            subject=subject,
            time=envelope.now(),
            datacontenttype="application/json",
            data=NULL if data is None else msgspec.Raw(msgspec.json.encode(data)),
        )
        if self._nats_address() is None:
            # source and id make a repeat harmless: an Idempotency-Key is not needed
            await self._asking().write("POST", "/api/events", msgspec.Raw(envelope.encode(event)))
        else:
            await self._publish_over_nats(event)
        return event.id

    async def _publish_over_nats(self, event: CloudEvent) -> None:
        """JetStream keeps the same message id once, so that asking again after a silence is harmless."""
        nats = await self._connected_nats()
        headers = {"Nats-Msg-Id": _event_key(event)}
        fault: Exception | None = None
        for _ in range(PUBLISH_TRIES_COUNT):
            try:
                await nats.jetstream().publish(
                    self._subjects.inbox(),
                    envelope.encode(event),
                    timeout=NATS_ACK_TIMEOUT_S,
                    stream=self._subjects.inbox_stream,
                    headers=headers,
                )
            except NatsError as refused:
                fault = refused
                await asyncio.sleep(NATS_ACK_TIMEOUT_S / 10)
            else:
                return
        raise self._nats_unreachable(fault) from fault

    # --- workflows --------------------------------------------------------------------------------------------------

    async def create_workflow(self, workflow: Definition) -> dict[str, Any]:
        """Add a workflow: answers `{id, version, position, warnings}`."""
        return await self._asking().write("POST", "/api/workflows", _document(workflow), idempotent())

    async def save_workflow(self, workflow: Definition, *, expected_version: int | None = None) -> dict[str, Any]:
        """Add the workflow, or a new version of it: answers `{id, version, position, warnings}`.

        With `expected_version` it is refused (412) when somebody else saved another version meanwhile.
        """
        document = _document(workflow)
        if expected_version is None:
            try:
                return await self._asking().write("POST", "/api/workflows", document, idempotent())
            except Refused as refused:
                if refused.status != 409 or "id" not in document:
                    raise
        headers = idempotent()
        if expected_version is not None:
            headers["If-Match"] = f'"{expected_version}"'
        return await self._asking().write("PUT", f"/api/workflows/{document['id']}", document, headers)

    async def get_workflow(self, workflow_id: str, at: Moment | None = None) -> dict[str, Any]:
        """The newest version of the definition, or the one in force at a past moment, with `version`, `created_at`,
        `updated_at` and `created_by`."""
        return await self._asking().read(f"/api/workflows/{workflow_id}", at=written(at))

    async def list_workflows(self, **filters: Any) -> dict[str, Any]:
        """One page, newest first: `{items, next_cursor}`. Filters: experiment_id, tag, status; limit, cursor."""
        return await self._asking().read("/api/workflows", **filters)

    async def archive_workflow(self, workflow_id: str) -> dict[str, Any]:
        """The workflow starts no more runs; its runs and its history stay."""
        return await self._asking().write("DELETE", f"/api/workflows/{workflow_id}", None, idempotent())

    async def validate(self, workflow: Definition) -> dict[str, Any]:
        """What is wrong with a workflow: `{is_valid, errors, warnings, …}`; nothing is stored."""
        return await self._asking().write("POST", "/api/workflows/validate", _document(workflow))

    # --- templates --------------------------------------------------------------------------------------------------

    async def list_templates(self, **filters: Any) -> dict[str, Any]:
        """One page, those of one's own first: `{items, next_cursor}`. Filters: source, category; limit, cursor."""
        return await self._asking().read("/api/templates", **filters)

    async def get_template(self, template_id: str) -> dict[str, Any]:
        """A template with its `definition` and `parameters`."""
        return await self._asking().read(f"/api/templates/{template_id}")

    async def save_template(self, template_id: str, **fields: Any) -> dict[str, Any]:
        """Add a template, made of `definition`, or of `version` of `workflow_id`: `{id, version, position, warnings}`."""
        return await self._asking().write("POST", "/api/templates", {"id": template_id, **fields}, idempotent())

    async def delete_template(self, template_id: str) -> dict[str, Any]:
        """No more workflows are made of it; those that were stay."""
        return await self._asking().write("DELETE", f"/api/templates/{template_id}", None, idempotent())

    async def instantiate(self, template_id: str, **fields: Any) -> dict[str, Any]:
        """A new workflow made of a template; `id`, `name`, `variables` and `secrets` are its own. Answers as a save."""
        return await self._asking().write("POST", f"/api/templates/{template_id}/instantiate", fields, idempotent())

    # --- stored prompts ---------------------------------------------------------------------------------------------

    async def list_prompts(self, **filters: Any) -> dict[str, Any]:
        """One page, newest first: `{items, next_cursor}`, without their texts. Filters: limit, cursor."""
        return await self._asking().read("/api/prompts", **filters)

    async def get_prompt(self, prompt_id: str, version: int | None = None) -> dict[str, Any]:
        """A stored prompt with its `prompt` and `system`, at its newest version or at the one asked for."""
        path = f"/api/prompts/{prompt_id}"
        return await self._asking().read(path if version is None else f"{path}/versions/{version}")

    async def prompt_versions(self, prompt_id: str, **filters: Any) -> dict[str, Any]:
        """One page of its versions, newest first: `{items, next_cursor}`, without their texts. Filters: limit, cursor."""
        return await self._asking().read(f"/api/prompts/{prompt_id}/versions", **filters)

    async def save_prompt(
        self, prompt_id: str, *, expected_version: int | None = None, **fields: Any
    ) -> dict[str, Any]:
        """Add a stored prompt, or a new version of it, of `prompt`, `system`, `name` and `description`.

        Answers `{id, version, position, warnings}`. With `expected_version` it is refused (412) when somebody else saved
        another version meanwhile.
        """
        headers = idempotent()
        if expected_version is not None:
            headers["If-Match"] = f'"{expected_version}"'
        return await self._asking().write("POST", "/api/prompts", {"id": prompt_id, **fields}, headers)

    async def delete_prompt(self, prompt_id: str) -> dict[str, Any]:
        """It is offered no more; runs of workflows that name one of its versions still find that."""
        return await self._asking().write("DELETE", f"/api/prompts/{prompt_id}", None, idempotent())

    # --- runs -------------------------------------------------------------------------------------------------------

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
        idempotency_key: str | None = None,
    ) -> str:
        """Start a run, and answer its id. The same `idempotency_key` again answers the same run.

        `from_node`: only that node and what lies below it runs, with `input` as its own. The run halts before each of
        `breakpoints`.
        """
        body: dict[str, Any] = {"input_data": input, "variables": variables or {}, "labels": labels or {}}
        body |= {"priority": priority} if priority else {}
        body |= {"version": version} if version is not None else {}
        body |= {"options": {"timeout_ms": timeout_ms}} if timeout_ms is not None else {}
        body |= {"from_node": from_node} if from_node is not None else {}
        body |= {"breakpoints": list(breakpoints)} if breakpoints else {}
        answer = await self._asking().write(
            "POST", f"/api/workflows/{workflow_id}/execute", body, idempotent(idempotency_key)
        )
        return str(answer["run_id"])

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
        answer = await self._asking().write(
            "POST", f"/api/workflows/{workflow_id}/triggers/{trigger_id}/fire", body, idempotent(idempotency_key)
        )
        return str(answer["run_id"])

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
        return await self._asking().write(
            "POST",
            f"/api/workflows/{workflow_id}/triggers/{trigger_id}/backfill",
            body,
            {} if dry_run else idempotent(idempotency_key),
        )

    async def run(self, run_id: str | UUID) -> dict[str, Any]:
        """The run as it stands, with one row per node in `node_runs`."""
        return await self._asking().read(f"/api/runs/{run_id}")

    async def state(self, run_id: str | UUID, at: Moment | None = None) -> dict[str, Any]:
        """The run as it was at a past moment, a position of the log or a time; `as_of` is the last event it had then."""
        return await self._asking().read(f"/api/runs/{run_id}/state", at=written(at))

    async def run_diff(self, run_id: str | UUID, other: str | UUID) -> dict[str, Any]:
        """What differs from a run to another, such as a fork of it: `{fields, nodes, is_fork, …}`."""
        return await self._asking().read(f"/api/runs/{run_id}/diff", **{"with": str(other)})

    async def runs(self, **filters: Any) -> dict[str, Any]:
        """One page, newest first: `{items, next_cursor}`. Filters: workflow_id, status, trigger_type, label, since,
        until, active_at, shadow; limit, cursor."""
        return await self._asking().read("/api/runs", **filters | {"active_at": written(filters.get("active_at"))})

    async def events(self, run_id: str | UUID, *, limit: int | None = None) -> AsyncGenerator[dict[str, Any]]:
        """What happened in the run so far, oldest first, page by page; at most `limit`."""
        left, cursor = limit, None
        while left is None or left > 0:
            count = PAGE_ITEMS_MAX if left is None else min(left, PAGE_ITEMS_MAX)
            page = await self._asking().read(f"/api/runs/{run_id}/events", limit=count, cursor=cursor)
            for event in page["items"]:
                yield event
            left, cursor = None if left is None else left - len(page["items"]), page.get("next_cursor")
            if cursor is None:
                return

    async def logs(self, run_id: str | UUID, **filters: Any) -> dict[str, Any]:
        """One page of what the run's jobs wrote, oldest first."""
        return await self._asking().read(f"/api/runs/{run_id}/logs", **filters)

    async def follow(self, run_id: str | UUID) -> AsyncGenerator[dict[str, Any]]:
        """Every event of the run, from its first, each once, as it happens; ends with the one that ends the run (of a run
        that was retried, the last).

        Goes on by itself after a disconnect or a restart of the server.
        """
        asking = self._asking()
        query = {"after": asking.position} if asking.position else {}
        position = 0
        async with contextlib.aclosing(following.follow(asking, f"/api/runs/{run_id}/stream", **query)) as told:
            async for message in told:
                event: dict[str, Any] = msgspec.json.decode(message.data)
                if event["position"] <= position:
                    continue
                position = event["position"]
                asking.remember(position)
                yield event

    async def wait(self, run_id: str | UUID, timeout_s: float | None = None) -> dict[str, Any]:
        """The run once it has ended. Raises TimeoutError when `timeout_s` is up first."""
        async with asyncio.timeout(timeout_s):
            async with contextlib.aclosing(self.follow(run_id)) as told:
                async for _ in told:
                    pass
            return await self.run(run_id)

    # --- secrets ----------------------------------------------------------------------------------------------------

    async def secrets(self, **filters: Any) -> dict[str, Any]:
        """One page of the secrets that workflows may name, last changed first; never their values. limit, cursor."""
        return await self._asking().read("/api/secrets", **filters)

    async def set_secret(self, name: str, value: str) -> dict[str, Any]:
        """Give a secret a value, or another one: answers `{name, version, position}`."""
        return await self._asking().write("PUT", f"/api/secrets/{name}", {"value": value}, idempotent())

    async def delete_secret(self, name: str) -> dict[str, Any]:
        """There is no such secret any more: jobs that name it fail from now on."""
        return await self._asking().write("DELETE", f"/api/secrets/{name}", None, idempotent())

    # --- other reads ------------------------------------------------------------------------------------------------

    async def graph(self, workflow_id: str, version: int | None = None) -> dict[str, Any]:
        """Nodes, edges, and what loops repeat: `{workflow_id, version, nodes, edges, bodies}`."""
        return await self._asking().read(f"/api/workflows/{workflow_id}/graph", version=version)

    async def triggers(self, workflow_id: str, at: Moment | None = None) -> list[dict[str, Any]]:
        """The triggers of a workflow as they are, or were at a past moment."""
        answer = await self._asking().read(f"/api/workflows/{workflow_id}/triggers", at=written(at))
        return answer["items"]

    async def decisions(self, workflow_id: str, trigger_id: str, **filters: Any) -> dict[str, Any]:
        """One page of why a trigger fired and why not, newest first. Filters: cause, decision; limit, cursor."""
        return await self._asking().read(f"/api/workflows/{workflow_id}/triggers/{trigger_id}/decisions", **filters)

    async def trigger_blueprints(self) -> list[dict[str, Any]]:
        """The six job types that any workflow may be started by: `{trigger_type, name, description, default_is_enabled}`."""
        return (await self._asking().read("/api/workflows/trigger_blueprints"))["items"]

    async def set_trigger_configs(
        self, workflow_id: str, configs: Sequence[Mapping[str, Any]], *, expected_version: int | None = None
    ) -> dict[str, Any]:
        """Set all six job-type triggers of a workflow, `{trigger_type, is_enabled}` and options each.

        Answers as a save, and `trigger_configs`. With `expected_version` refused (412) when somebody else saved meanwhile.
        """
        headers = idempotent()
        if expected_version is not None:
            headers["If-Match"] = f'"{expected_version}"'
        body = {"configs": list(configs)}
        return await self._asking().write("PUT", f"/api/workflows/{workflow_id}/trigger_configs", body, headers)

    async def upcoming(self, workflow_id: str, trigger_id: str, count: int = 10) -> list[dict[str, Any]]:
        """When a schedule fires next: `scheduled_at` and `due_at` of so many firings."""
        path = f"/api/workflows/{workflow_id}/triggers/{trigger_id}/upcoming"
        return (await self._asking().read(path, count=count))["items"]

    async def try_trigger(
        self, trigger: Mapping[str, Any], event: Mapping[str, Any], workflow_id: str | None = None
    ) -> dict[str, Any]:
        """What a trigger would answer to an event, `{decision, reason, detail, input?}`; nothing is stored."""
        body = {"trigger": trigger, "event": event, "workflow_id": workflow_id}
        return await self._asking().write("POST", "/api/triggers/test", body)

    async def what_if(
        self,
        trigger: Mapping[str, Any],
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
        body = {"trigger": trigger, "workflow_id": workflow_id, "since": since, "until": until}
        if progress is not None:
            given = {"limit": limit} if cursor is None else {"limit": limit, "cursor": cursor}
            path = "/api/triggers/what-if"
            return await following.answer_of(self._asking(), path, body, progress, HISTORY_TIMEOUT_S, **given)
        query = urlencode({"limit": limit, **({} if cursor is None else {"cursor": cursor})})
        return await self._asking().write(
            "POST", f"/api/triggers/what-if?{query}", body, answer_timeout_s=HISTORY_TIMEOUT_S
        )

    async def health(self) -> dict[str, Any]:
        """What `/health/ready` answers, also when it is not ready."""
        return await self._asking().peek("/health/ready")

    async def blob(self, name: str) -> Any:
        """The JSON data that travels as `{"$blob": name}`."""
        return await self._asking().read(f"/api/blobs/{name}")

    # --- connections ------------------------------------------------------------------------------------------------

    @property
    def position(self) -> int:
        """Of the last write that was answered, or event that was seen; reads show at least this."""
        return self._asking().position

    def _asking(self) -> Asking:
        if self._http is None:
            url = self._url or installation.endpoints(self._home).http
            if not url:
                raise Unreachable(
                    f"no address of FlowForge is known: start `flowforge up` (it writes {self._home}/endpoints.json), "
                    "set FLOWFORGE_HOME to where it runs, or set FLOWFORGE_URL"
                )
            self._http = Asking(
                url if "://" in url else f"http://{url}", self._key or installation.admin_key(self._home)
            )
        return self._http

    def _nats_address(self) -> str | None:
        """Given, or of the installation; one named by an explicit HTTP address has no NATS that we know."""
        if self._nats_url is not None or self._url is not None:
            return self._nats_url
        return installation.endpoints(self._home).nats or os.environ.get("FLOWFORGE_NATS_URL")

    async def _connected_nats(self) -> NatsClient:
        async with self._nats_lock:
            if self._nats is None or self._nats.is_closed:
                self._nats = await self._connect_nats(self._nats_address() or "")
            return self._nats

    async def _connect_nats(self, url: str) -> NatsClient:
        faults: list[Exception] = []

        async def faulted(fault: Exception) -> None:
            faults[:] = [fault]

        nats = NatsClient()
        try:
            async with asyncio.timeout(NATS_CONNECT_TIMEOUT_S):
                await nats.connect(
                    url,
                    name="flowforge-client",
                    error_cb=faulted,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=0.1,  # type: ignore[arg-type]  # nats-py sleeps it; fractions are fine
                )
        except TimeoutError as fault:
            raise self._nats_unreachable(faults[0] if faults else fault) from fault
        return nats

    def _nats_unreachable(self, fault: Exception | None) -> Unreachable:
        shown = installation.without_password(self._nats_address() or "")
        return Unreachable(f"no answer from NATS at {shown} ({fault!r}): start `flowforge up`, or name another address")


def _document(workflow: Definition) -> dict[str, Any]:
    """The definition as plain data. Raises DefinitionInvalid for a text that is neither JSON nor YAML."""
    if isinstance(workflow, definition.Workflow):
        return definition.document(workflow)
    if isinstance(workflow, str | bytes):
        read: Any = definition.from_text(workflow)
        return read
    return dict(workflow)


def _event_key(event: CloudEvent) -> str:
    """The same for the same event: source and id, hashed since they may hold what a header may not."""
    return blake2b(f"{event.source}\x1f{event.id}".encode(), digest_size=16).hexdigest()
