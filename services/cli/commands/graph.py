"""`graph`: a workflow or a run as a picture, for documents and for looking at it."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from flowforge import diagram
from flowforge.diagram.mermaid import mermaid as mermaid_of
from flowforge.diagram.svg import svg as svg_of
from flowforge.errors import Refused

from services.cli import documents
from services.cli.connect import Session, no_run, no_workflow
from services.cli.output import EXIT_USAGE, STDIN, Failure
from services.cli.terminal import harmless

Hidden = Parameter(parse=False)
FILE_ENDINGS = (".yaml", ".yml", ".json")


async def graph(
    workflow: str,
    /,
    *,
    run: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    version: int | None = None,
    mermaid: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    svg: Path | None = None,
    session: Annotated[Session, Hidden],
) -> None:
    """Draw a workflow, or a run in the colours of its nodes: as Mermaid text, or as an SVG file.

    Parameters
    ----------
    workflow
        Id of a workflow, a definition's file, or with --run the id of a run.
    run
        It is a run.
    version
        An older version of the workflow.
    mermaid
        Write Mermaid text, which GitHub and many documents draw; so it does without --svg too.
    svg
        Write an SVG document to this file; - is stdout.
    """
    drawn = await _drawn(session, workflow, version=version, is_run=run)
    if svg is not None:
        _write(session, svg, drawn)
    if mermaid or svg is None:
        _tell(session, mermaid_of(drawn))


async def _drawn(session: Session, name: str, *, version: int | None, is_run: bool) -> diagram.Diagram:
    if not is_run and name.endswith(FILE_ENDINGS):
        return diagram.of_definition(_only(documents.read([name]), name))
    async with session.client() as client:
        try:
            if is_run:
                return diagram.of_run(await client.run(name))
            return diagram.of_definition(await client.get_workflow(name, version))
        except Refused as refused:
            if refused.status != 404:
                raise
            raise (no_run(name, refused) if is_run else await no_workflow(client, name, refused)) from refused


def _only(read: list[Any], name: str) -> dict[str, Any]:
    if len(read) != 1:
        raise Failure(f"{name} holds {len(read)} definitions", "draw a file that holds one", status=EXIT_USAGE)
    if not isinstance(read[0].data, dict):
        raise Failure(f"{name} holds no definition", f"see why: flowforge validate {name}", status=EXIT_USAGE)
    return read[0].data


def _write(session: Session, file: Path, drawn: diagram.Diagram) -> None:
    text = svg_of(drawn) + "\n"
    if str(file) == STDIN:
        _tell(session, text)
        return
    try:
        file.write_text(text)
    except OSError as fault:
        raise Failure(f"cannot write {file}: {fault.strerror}", "name another file with --svg") from fault
    session.output.note(session.output.state("completed", ("drawn ", "bold"), f"{len(drawn.boxes)} nodes in {file}"))


def _tell(session: Session, text: str) -> None:
    if session.output.as_json:
        session.output.json({"text": text})
    else:
        print(harmless(text), end="")
