"""One OpenAPI document out of those of the reads and of the writes."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

import msgspec
from flowforge.definition import NODE_TYPES
from flowforge.definition.nodes import NodeFields
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler

from infra.documents.answers import described_answers, problem_responses, problem_schema
from infra.documents.examples import Sampler
from infra.documents.outgoing import webhooks
from infra.documents.schemas import schemas
from infra.http.authentication import is_public
from infra.http.described import ANSWER, BODY, BODY_EXAMPLE, BODY_TYPES, KEYLESS_KEY, VERSIONED_KEY

REF = "#/components/schemas/{name}"
SCHEMA = "/schema"
"""Documents are not among what they describe."""
_METHODS = ("get", "put", "post", "delete", "patch")
_DESCRIPTION = """\
Workflows that events start, with every decision on record.

Every read takes `?after=<position>`: it is answered once the read models have what was logged there, so that you see what you
have just written. A write is answered once its event is in the log, with its `position`, and takes an `Idempotency-Key`, under
which it is carried out once. Errors are problem documents (RFC 9457). Lists are `{items, next_cursor}`, newest first. A query
parameter that is not named here is refused (400), not ignored. `OPTIONS` at any address tells its methods, and so does a 405.
"""
_TAGS = {
    "workflows": "Definitions, their versions, and their triggers",
    "runs": "Executions: started, watched, stopped, gone on with",
    "triggers": "Many triggers at once, and dry runs",
    "events": "What external systems tell",
    "streams": "Server-sent events",
    "approvals": "What nodes ask of people",
    "session": "Who is asking",
    "users": "People, their roles and keys",
    "templates": "Definitions to make workflows of",
    "prompts": "Stored, versioned prompts",
    "secrets": "Set by name, never shown",
    "webhooks": "Deliveries, which sign themselves",
    "callbacks": "Answers to calls that wait for one",
    "subscriptions": "Who is told of run events by HTTP, and how that goes",
    "retention": "What is kept for how long, and where it is then",
    "breakers": "What is not tried for a while, since it failed again and again",
    "dead-letters": "Messages that could not be handled",
    "activity": "What came in, who did what, how much there is",
    "health": "Whether it is up, and how it fares",
}
_IDEMPOTENCY_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key, actor and route within seven days: the first answer again, and nothing is done twice.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
}
_IF_MATCH: dict[str, Any] = {
    "name": "If-Match",
    "in": "header",
    "description": "The ETag of what the change is meant for, or several; 412 where it has another version by now.",
    "schema": {
        "type": "string",
        "pattern": '^(\\*|"[0-9]{1,9}(\\.[a-z0-9]{1,32})?"(, "[0-9]{1,9}(\\.[a-z0-9]{1,32})?"){0,9})$',
    },
    "example": '"3"',
}
_AFTER: dict[str, Any] = {
    "name": "after",
    "in": "query",
    "description": "Wait until the read models have what was logged at this position; 503 where that takes longer than 5 s.",
    "schema": {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
}
_SLUG = {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,62}$"}
_UUID = {"type": "string", "format": "uuid"}
_PATH_VALUES: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("workflow_id", "node_id", "template_id", "prompt_id", "subscription_id"), _SLUG),
    **dict.fromkeys(("run_id", "dead_letter_id"), _UUID),
    "trigger_id": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$"},
    "blob_hash": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    "user": {"type": "string", "pattern": "^[a-z0-9][a-z0-9._@-]{0,62}$"},
    "key_id": {"type": "string", "pattern": "^key-[0-9a-f]{12}$"},
    "name": {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]{0,62}$"},
}
_PAGE = re.compile(r"Page_(?:[a-z_]+\.)*([A-Za-z]+)_")
_MODULE = re.compile(r"(?:[a-z_]+\.)+([a-z_]+)\.([A-Z]\w*)")


def document(reads: Litestar, writes: Litestar, version: str) -> dict[str, Any]:
    """Everything that HTTP clients may ask for."""
    whole, written = reads.openapi_schema.to_schema(), writes.openapi_schema.to_schema()
    components: dict[str, Any] = whole["components"]["schemas"]
    components["Problem"] = problem_schema()
    shapes = _shapes((reads, writes), components)
    _either_place(components)
    _read_whole(components)
    paths: dict[str, Any] = whole["paths"]
    for path, item in written["paths"].items():
        paths.setdefault(path, {}).update(item)
    handlers = {(path, method): handler for path, method, handler in _handlers(reads, writes)}
    paths = {path: item for path, item in paths.items() if not path.startswith(SCHEMA)}
    sampler = Sampler(components)
    for path, method, operation in _operations(paths):
        handler = handlers[path, method]
        _describe(operation, method, handler)
        _describe_body(operation, handler, shapes.get((path, method, BODY)))
        described_answers(operation, path, method, handler, shapes.get((path, method, ANSWER)), sampler)
    return _shortly_named(
        {
            "openapi": "3.1.0",
            "info": {"title": "FlowForge", "version": version, "description": _DESCRIPTION},
            "servers": [{"url": "/"}],
            "security": [{"key": []}],
            "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
            "paths": dict(sorted(paths.items())),
            "webhooks": webhooks({"$ref": REF.format(name="CloudEvent")}),
            "components": {
                "schemas": dict(sorted(components.items())),
                "securitySchemes": {
                    "key": {
                        "type": "http",
                        "scheme": "bearer",
                        "description": "A key, which has a role: viewer … admin",
                    }
                },
                **problem_responses(),
            },
        }
    )


def _operations(paths: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in paths.items():
        for method in _METHODS:
            if method in item:
                yield path, method, item[method]


def _shapes(apps: Iterable[Litestar], components: dict[str, Any]) -> dict[tuple[str, str, str], dict[str, Any]]:
    """The schema of each body and answer; what they are made of joins the components. Raises ValueError for two of a name."""
    shapes = {
        (path, method, what): handler.opt[what]
        for path, method, handler in _handlers(*apps)
        for what in (BODY, ANSWER)
        if what in handler.opt
    }
    numbered = {
        (key, number): each
        for key, shape in shapes.items()
        for number, each in enumerate(cast("tuple[Any, ...]", shape) if isinstance(shape, tuple) else (shape,))
    }
    found, parts = schemas(numbered.values(), REF)
    if several := [
        name for name in parts.keys() & components.keys() if _fields(parts[name]) != _fields(components[name])
    ]:
        raise ValueError(f"two shapes have the same name, rename one of each: {', '.join(several)}")
    components.update(parts)
    described = dict(zip(numbered, found, strict=True))
    return {
        key: described[key, 0]
        if not isinstance(shape, tuple)
        else {"anyOf": [described[key, n] for n in range(len(shape))]}
        for key, shape in shapes.items()
    }


def _either_place(components: dict[str, Any]) -> None:
    """A node's own settings stand beside its common fields or in `config`, as its author likes."""
    common = set(NodeFields.__struct_fields__)
    for kind in NODE_TYPES.values():
        schema = components[kind.__name__]
        own = [name for name in schema["required"] if name not in common | {"type"}]
        schema["properties"]["config"] = {"type": "object", "description": "what is its own, where it stands together"}
        if own:
            schema["required"] = [name for name in schema["required"] if name not in own]
            schema["anyOf"] = [{"required": own}, {"required": ["config"]}]


def _read_whole(components: dict[str, Any]) -> None:
    """A definition is stored with every field of its own, so that whoever reads one finds them all."""
    read = components["WorkflowView"]
    read["required"] = sorted(read["properties"])


def _fields(schema: dict[str, Any]) -> set[str]:
    return set(schema.get("properties", {}))


def _handlers(*apps: Litestar) -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    for app in apps:
        for route in app.routes:
            for handler in cast("Iterable[Any]", getattr(route, "route_handlers", ())):
                for method in handler.http_methods if isinstance(handler, HTTPRouteHandler) else ():
                    yield route.path_format, method.lower(), handler


def _describe(operation: dict[str, Any], method: str, handler: HTTPRouteHandler) -> None:
    operation.pop("deprecated", None)
    name = handler.fn.__name__
    operation["operationId"] = f"{name}_of_{operation['tags'][0].replace('-', '_')}"
    if handler.summary is None:
        operation["summary"] = name.replace("_", " ").capitalize()
    parameters = [_parameter(each) for each in operation.get("parameters", [])]
    if method == "get":
        parameters.append(_AFTER)
    elif KEYLESS_KEY not in handler.opt:
        parameters.append(_IDEMPOTENCY_KEY)
    if VERSIONED_KEY in handler.opt:
        parameters.append(_IF_MATCH)
    operation["parameters"] = parameters
    if is_public(handler.opt):
        operation["security"] = []


def _parameter(given: dict[str, Any]) -> dict[str, Any]:
    """Without what goes without saying; what is left out is never null in an address."""
    schema = _never_null(given["schema"])
    if given["in"] == "path":
        schema = _PATH_VALUES.get(
            given["name"], {**schema, "minLength": 1} if schema.get("type") == "string" else schema
        )
    told = {"name": given["name"], "in": given["in"], "required": given.get("required", False), "schema": schema}
    text = given.get("description") or schema.pop("description", None)
    return {**told, "description": text} if text else told


def _never_null(schema: dict[str, Any]) -> dict[str, Any]:
    schema = dict(schema)
    if "enum" in schema:
        schema["enum"] = [value for value in schema["enum"] if value is not None]
        schema["type"] = "string"
    choices = [choice for choice in schema.pop("oneOf", []) if choice != {"type": "null"}]
    if len(choices) == 1:
        return {**choices[0], **schema}
    return {**schema, "oneOf": choices} if choices else schema


def _describe_body(operation: dict[str, Any], handler: HTTPRouteHandler, schema: dict[str, Any] | None) -> None:
    if schema is None:
        return
    content: dict[str, Any] = {"schema": schema}
    if handler.opt.get(BODY_EXAMPLE) is not None:
        content["example"] = handler.opt[BODY_EXAMPLE]
    operation["requestBody"] = {"content": dict.fromkeys(handler.opt[BODY_TYPES], content)}


def _shortly_named(whole: dict[str, Any]) -> dict[str, Any]:
    """Components by the names that people would give them: `RunPage`, not `Page_services.projections.api.shapes.Run_`."""
    names: dict[str, str] = {}
    for name in whole["components"]["schemas"]:
        page, module = _PAGE.fullmatch(name), _MODULE.fullmatch(name)
        if page is not None:
            names[name] = f"{page[1]}Page"
        elif module is not None:
            names[name] = module[1].title().replace("_", "") + module[2]
    text = msgspec.json.encode(whole).decode()
    for old, new in names.items():
        text = text.replace(f'"{old}"', f'"{new}"').replace(f'/{old}"', f'/{new}"')
    return msgspec.json.decode(text)
