"""What travels over NATS, as AsyncAPI: subjects, who publishes, and the schema of what they carry."""

from typing import Any, cast, get_args

from flowforge.envelope import CloudEvent
from flowforge.events import AnyEvent, RunEvent, WorkflowEvent
from flowforge.reports import REPORT_TYPES, JobRequested

from infra.documents.examples import Sampler
from infra.documents.schemas import schemas

REF = "#/components/schemas/{name}"
_DESCRIPTION = """\
Every message is a CloudEvents 1.0 JSON document (structured mode), with the extensions `correlationid`, `causationid`,
`traceparent`, and `position` once it is logged. `{namespace}` is `flowforge` unless it was set. What is described here as the
payload of a message is its `data`. Messages that no channel names are events of the log, which no stream repeats.
"""
_CHANNELS: tuple[tuple[str, str, str, str], ...] = (
    ("inbox", "{namespace}.inbox.{name}", "send", "Any CloudEvent of an external system; acknowledged once it is on disk."),
    ("runs", "{namespace}.runs.{workflow_id}.{run_id}.{event_type}", "receive", "The run-status stream, kept for an hour."),
    ("workflows", "{namespace}.workflows.{workflow_id}.{event_type}", "receive", "Changes of definitions and triggers."),
    ("jobs", "{namespace}.jobs.{queue}.{job_type}", "receive",
     "A work queue (stream JOBS), pulled through the durable consumer `<queue>--<job_type>`."),
    ("reports", "{namespace}.reports.{run_id}.{job_id}.{event_type}", "send", "What workers tell of their jobs."),
    ("cancels", "{namespace}.cancels.{job_id}", "receive", "Stop this job."),
)  # fmt: skip


def document(version: str) -> dict[str, Any]:
    """From the contracts alone."""
    carried = {
        "inbox": [CloudEvent],
        "runs": list(get_args(RunEvent)),
        "workflows": list(get_args(WorkflowEvent)),
        "jobs": [JobRequested],
        "reports": list(REPORT_TYPES.values()),
        "cancels": [CloudEvent],
    }
    types = list(dict.fromkeys((*get_args(AnyEvent), *(kind for kinds in carried.values() for kind in kinds))))
    _, components = schemas(types, REF)
    sampler = Sampler(components)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "FlowForge over NATS", "version": version, "description": _DESCRIPTION},
        "defaultContentType": "application/cloudevents+json",
        "channels": {name: _channel(address, text, carried[name]) for name, address, _, text in _CHANNELS},
        "operations": {
            f"{action}_{name}": {
                "action": action,
                "channel": {"$ref": f"#/channels/{name}"},
                "summary": text,
                "messages": [{"$ref": f"#/channels/{name}/messages/{kind.__name__}"} for kind in carried[name]],
            }
            for name, _, action, text in _CHANNELS
        },
        "components": {
            "messages": {kind.__name__: _message(kind, sampler) for kind in types},
            "schemas": {name: _named_discriminators(each) for name, each in sorted(components.items())},
        },
    }


def _channel(address: str, text: str, kinds: list[type[Any]]) -> dict[str, Any]:
    names = [part[1:-1] for part in address.split(".") if part.startswith("{")]
    return {
        "address": address,
        "description": text,
        "parameters": {name: {} if name != "namespace" else {"default": "flowforge"} for name in names},
        "messages": {kind.__name__: {"$ref": f"#/components/messages/{kind.__name__}"} for kind in kinds},
    }


def _named_discriminators(schema: Any) -> Any:
    """AsyncAPI names the property that tells shapes apart; OpenAPI, for which msgspec writes, maps its values as well."""
    if isinstance(schema, list):
        return [_named_discriminators(each) for each in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    fields = {name: _named_discriminators(value) for name, value in cast("dict[str, Any]", schema).items()}
    told = fields.get("discriminator")
    return fields | {"discriminator": told["propertyName"]} if isinstance(told, dict) and "mapping" in told else fields


def _message(kind: type[Any], sampler: Sampler) -> dict[str, Any]:
    payload = {"$ref": REF.format(name=kind.__name__)}
    return {
        "name": kind.__name__,
        "summary": (kind.__doc__ or "").strip().split("\n", 1)[0],
        "payload": payload,
        "examples": [{"payload": sampler.of(payload)}],
    }
