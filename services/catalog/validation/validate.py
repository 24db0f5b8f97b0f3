"""The whole check: every reason at once, whatever the first one was."""

import re
from typing import Any, cast

import msgspec
from flowforge.definition import Fault, Workflow, parse

from services.catalog.validation import values
from services.catalog.validation.branches import check_branches
from services.catalog.validation.draft import node_at, read
from services.catalog.validation.job_types import check_job_types
from services.catalog.validation.kinds import check_kinds
from services.catalog.validation.loops import check_loops
from services.catalog.validation.named import NOTHING_KNOWN, Known, check_named
from services.catalog.validation.policies import check_policies
from services.catalog.validation.ports import check_ports
from services.catalog.validation.report import Findings, Report
from services.catalog.validation.schedules import check_schedules
from services.catalog.validation.structure import check_structure, shapes_of
from services.catalog.validation.texts import check_texts
from services.catalog.validation.triggers import check_triggers
from services.catalog.validation.webhooks import check_webhooks

_UNKNOWN_FIELD = re.compile(r"unknown field `([^`]*)`")


class Checked(msgspec.Struct):
    """A document, what was found, and the workflow in it if it can be read."""

    document: dict[str, Any]
    report: Report
    workflow: Workflow | None


def validate(document: object, known: Known = NOTHING_KNOWN) -> Report:
    """Everything that is wrong with the document. Never raises for what a JSON document may hold."""
    return check(document, known).report


def check(document: object, known: Known = NOTHING_KNOWN) -> Checked:
    """The document read and validated. `known`: what else there is that it may name."""
    findings = Findings()
    if not isinstance(document, dict):
        _add_faults({}, parse(document)[1], findings)
        return Checked({}, findings.report(), None)
    fields = cast("dict[str, Any]", document)
    workflow, draft, faults = read(fields)
    _add_faults(fields, faults, findings)
    for path in values.nul_paths(fields, values.encoded(fields)):
        findings.error("INVALID_TEXT", path, "a text holds the character U+0000", "remove it", node_at(fields, path))
    shapes = shapes_of(draft)
    check_structure(draft, shapes, findings)
    check_branches(draft, shapes, findings)
    check_loops(draft, findings)
    check_ports(draft, shapes, findings)
    check_kinds(draft, findings)
    values.check_values(draft, findings)
    check_texts(draft, shapes, findings)
    check_policies(draft, findings)
    check_named(draft, known, findings)
    check_schedules(draft, findings)
    check_triggers(draft, findings)
    check_job_types(draft, findings)
    check_webhooks(draft, findings)
    return Checked(fields, findings.report(), workflow)


def _add_faults(document: dict[str, Any], faults: list[Fault], findings: Findings) -> None:
    for fault in faults:
        path, mend = fault.path, fault.suggested_resolution
        if unknown := _UNKNOWN_FIELD.search(fault.message):
            path = f"{path}.{unknown[1]}"
            mend = "remove it" if f"`{unknown[1]}`?" in mend else mend
        findings.error(_kind(fault), path, fault.message, mend, node_at(document, fault.path))


def _kind(fault: Fault) -> str:
    if "unknown field" in fault.message:
        return "UNKNOWN_FIELD"
    if "missing required field" in fault.message:
        return "MISSING_FIELD"
    return "UNKNOWN_TYPE" if fault.message.startswith("unknown type") else "INVALID_FIELD"
