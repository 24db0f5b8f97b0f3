"""`apply`, `validate`, `workflows`: definitions from files to the server and back."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from cyclopts import Parameter
from flowforge import definition
from flowforge.errors import Refused
from rich.text import Text

from services.cli import documents
from services.cli.connect import Session
from services.cli.documents import Document, Finding
from services.cli.glyphs import STYLES, glyphs_for
from services.cli.output import EXIT_FAILED, EXIT_OK, EXIT_USAGE, Failure, table

if TYPE_CHECKING:
    from flowforge.client import Client

Hidden = Parameter(parse=False)
Files = Parameter(name=["--file", "-f"], negative=(), consume_multiple=True)


async def validate(
    files: Annotated[list[str], Parameter(negative=())],
    /,
    *,
    offline: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    session: Annotated[Session, Hidden],
) -> int:
    """Say what is wrong with a definition, where, and how to mend it.

    Parameters
    ----------
    files
        JSON or YAML files or folders; - is stdin.
    offline
        Do not ask the server, which also checks the graph, expressions and schedules.
    """
    read = documents.read(files)
    asked = not offline and await _ask_server(session, read)
    for document in read:
        _report(session, document)
    if session.output.as_json:
        session.output.json(
            {
                "is_valid": not any(document.has_errors for document in read),
                "checked_by": "server" if asked else "file",
                "documents": [
                    {"file": document.file, "id": document.id, "is_valid": not document.has_errors,
                     "findings": document.findings}
                    for document in read
                ],
            }
        )  # fmt: skip
    return EXIT_FAILED if any(document.has_errors for document in read) else EXIT_OK


async def _ask_server(session: Session, read: list[Document]) -> bool:
    """Add the server's findings to the documents that are whole. False: no server answered."""
    whole = [document for document in read if not document.has_errors]
    if not whole:
        return False
    try:
        async with session.client() as client:
            for document in whole:
                report = await client.validate(document.data)
                _take_findings(document, report)
    except Failure as failure:
        session.output.note(Text(f"! checked without a server: {failure.message}", "yellow"))
        return False
    return True


def _take_findings(document: Document, report: dict[str, Any]) -> None:
    for severity in ("errors", "warnings"):
        for entry in report.get(severity) or []:
            document.findings.append(_from_server(document, entry, severity.removesuffix("s")))


def _from_server(document: Document, entry: dict[str, Any], severity: str) -> Finding:
    return documents.finding(
        document,
        str(entry.get("path") or "$"),
        str(entry.get("message") or entry.get("detail") or entry.get("type") or "refused"),
        severity=str(entry.get("severity") or severity),
        suggested_resolution=str(entry.get("suggested_resolution") or ""),
        type=str(entry.get("type") or ""),
        nodes=[str(node) for node in entry.get("nodes") or []],
    )


def _report(session: Session, document: Document) -> None:
    output = session.output
    for found in document.findings:
        output.say(documents.frame(document, found, output.glyphs), "")
    count = sum(found.severity == "error" for found in document.findings)
    name = Text.assemble((document.id or "document", "bold"), (f"  {document.file}", "dim"))
    if count:
        output.say(output.state("failed", name, f"  {count} error{'s' if count > 1 else ''}"))
    else:
        output.say(output.state("completed", name, "  valid"))


async def apply(
    *,
    file: Annotated[list[str], Files],
    session: Annotated[Session, Hidden],
) -> int:
    """Create or update workflows from JSON or YAML files.

    Parameters
    ----------
    file
        Files or folders, several documents per file allowed; - is stdin.
    """
    read = documents.read(file)
    _refuse_broken(session, read)
    results: list[dict[str, Any]] = []
    async with session.client() as client:
        for document in read:
            result = await _apply_one(client, document)
            results.append(result)
            _tell(session, result, document)
    return EXIT_FAILED if any(result["result"] == "refused" for result in results) else EXIT_OK


def _refuse_broken(session: Session, read: list[Document]) -> None:
    """Nothing is sent unless every document is whole and named once."""
    glyphs = glyphs_for(session.output.err)
    broken = [(document, found) for document in read for found in document.findings]
    if broken:
        frames = [documents.frame(document, found, glyphs).append("\n") for document, found in broken]
        problem = {"findings": [found for _, found in broken]}
        raise Failure("nothing was applied", "mend the file, then apply again", details=frames, problem=problem)
    seen: dict[str, str] = {}
    for document in read:
        if document.id in seen:
            raise Failure(
                f"workflow {document.id} stands twice: in {seen[document.id]} and in {document.file}",
                "keep one of them; nothing was applied",
                status=EXIT_USAGE,
            )
        seen[document.id] = document.file


async def _apply_one(client: "Client", document: Document) -> dict[str, Any]:
    """Create, or save a new version on top of the one read; unchanged ones are left alone."""
    current = await _current(client, document.id)
    base = {"id": document.id, "file": document.file}
    if current is not None and _is_unchanged(current, document.data):
        return {**base, "result": "unchanged", "version": current["version"]}
    try:
        saved = await client.save_workflow(document.data, expected_version=current["version"] if current else None)
    except Refused as refused:
        if refused.status not in {409, 412, 413, 422}:
            raise
        return {**base, "result": "refused", "problem": refused.problem}
    return {**base, "result": "created" if current is None else "updated", **saved}


async def _current(client: "Client", workflow_id: str) -> dict[str, Any] | None:
    try:
        return await client.get_workflow(workflow_id)
    except Refused as refused:
        if refused.status == 404:
            return None
        raise


def _is_unchanged(current: dict[str, Any], authored: Any) -> bool:
    """Whether what is stored is what the file says, defaults filled in."""
    workflow, _ = definition.parse(authored)
    if workflow is None:
        return False
    wanted = msgspec.to_builtins(definition.with_defaults(authored, workflow))
    return all(current.get(name) == value for name, value in wanted.items())


def _tell(session: Session, result: dict[str, Any], document: Document) -> None:
    output = session.output
    output.json(result)
    kind: Literal["created", "updated", "unchanged", "refused"] = result["result"]
    state = {"created": "completed", "updated": "completed", "unchanged": "idle", "refused": "failed"}[kind]
    version = f"  version {result['version']}" if "version" in result else ""
    output.say(output.state(state, (document.id, "bold"), f"  {kind}", (version, "dim"), (f"  {document.file}", "dim")))
    if kind == "refused" and not output.as_json:
        problem = result["problem"]
        entries = problem.get("errors") or [{"message": problem.get("detail") or problem.get("title")}]
        for entry in entries:
            output.say(documents.frame(document, _from_server(document, entry, "error"), output.glyphs), "")
    for warning in result.get("warnings") or []:
        output.say(documents.frame(document, _from_server(document, warning, "warning"), output.glyphs))


async def workflows(
    *,
    status: Literal["draft", "active", "archived"] | None = None,
    tag: str | None = None,
    limit: int = 50,
    session: Annotated[Session, Hidden],
) -> None:
    """List the workflows.

    Parameters
    ----------
    status
        Only those that are draft, active or archived.
    tag
        Only those with this tag.
    limit
        At most so many.
    """
    async with session.client() as client:
        page = await client.list_workflows(status=status, tag=tag, limit=limit)
    session.output.json(page)
    if not page["items"]:
        session.output.say(Text("no workflows yet; add one with: flowforge apply -f FILE", "dim"))
        return
    rows = table("workflow", "name", "version", "status", "triggers", right=("version",))
    for item in page["items"]:
        state = str(item.get("status", ""))
        triggers = ", ".join(str(trigger.get("id", "")) for trigger in item.get("triggers") or [])
        rows.add_row(
            Text(item["id"], "bold"), str(item.get("name", "")), str(item.get("version", "")),
            Text(state, STYLES["completed"] if state == "active" else "dim"), Text(triggers, "dim"),
        )  # fmt: skip
    session.output.say(rows)
