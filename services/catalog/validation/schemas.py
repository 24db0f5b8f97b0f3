"""JSON Schemas in a definition: of draft 2020-12, whole in themselves."""

from collections.abc import Iterable
from typing import Any

import jsonschema_rs

from services.catalog.validation.report import Findings

_METASCHEMA = jsonschema_rs.Draft202012Validator({"$ref": "https://json-schema.org/draft/2020-12/schema"})


def check_schema(schema: dict[str, Any], path: str, what: str, findings: Findings, nodes: Iterable[str] = ()) -> None:
    """That the schema can be used; `what` is what its author calls it."""
    owners = list(nodes)

    def error(below: str, message: str) -> None:
        mend = f"{what} is a JSON Schema of draft 2020-12, without references to other documents"
        findings.error("SCHEMA_INVALID", f"{path}{below}", message, mend, owners)

    try:
        faults = list(_METASCHEMA.iter_errors(schema))
        for fault in faults:
            error(_steps(fault.instance_path), fault.message)
        if not faults:
            jsonschema_rs.Draft202012Validator(schema, retriever=_refuse)
    except jsonschema_rs.ValidationError as fault:
        error(_steps(fault.instance_path), fault.message)
    except (ValueError, jsonschema_rs.ReferencingError) as fault:
        error("", str(fault).partition("\n")[0])


def _steps(path: list[str | int]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


def _refuse(uri: str) -> Any:
    raise ValueError(f"references to other documents are not followed: {uri}")
