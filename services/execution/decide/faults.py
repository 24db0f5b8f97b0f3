"""Errors in the words of interface.md, section 9, each with where it is and what to do about it."""

from flowforge.errors import ErrorCode, RunError
from flowforge.events import ForkedFrom
from flowforge.raw import ABSENT, field
from flowforge.reports import ReportedError

from infra.expressions import EvaluationFault
from services.execution import inputs
from services.execution.state import Run, Unit

_RESOLUTIONS: dict[str, str] = {
    ErrorCode.MISSING_DEPENDENCY: "give the node an output (changes.node_outputs), or fork the run without shadow",
    ErrorCode.EXPRESSION_ERROR: "compare it with the run's input, variables and outputs; use has() for what may be absent",
    ErrorCode.INPUT_INVALID: "make the input_mapping give what the node's inputs declare",
    ErrorCode.OUTPUT_INVALID: "make the handler return what the node's outputs declare",
    ErrorCode.PAYLOAD_TOO_LARGE: "pass a reference (a path, a key) rather than the data, or split the work with for_each",
    ErrorCode.JOB_TIMEOUT: "raise timeout_ms, or look into the job's log for what it waited for; waiting for a worker counts",
    ErrorCode.WORKER_LOST: "look for a worker that was killed or ran out of memory while it held the job",
    ErrorCode.EXECUTION_TIMEOUT: "raise timeout_ms (of the node or of settings), or see in the timeline what took the time",
    ErrorCode.LOOP_LIMIT_EXCEEDED: "raise the loop's max_iterations, or make its condition or list end sooner",
    ErrorCode.HTTP_ERROR: "look at the status and the body in the error's details; add a retry_policy if the cause passes",
    ErrorCode.PROVIDER_ERROR: "look at what the provider said; check its key, model name and limits",
    ErrorCode.APPROVAL_REJECTED: "see the comment of whoever rejected it; retry the run to ask once more",
    ErrorCode.DEPTH_EXCEEDED: "look for workflows that start each other in a circle",
    ErrorCode.NODE_EXECUTION_FAILED: "read the job's log; add a retry_policy if the cause passes by itself",
}


def resolution(code: str) -> str:
    """What a person can do about an error of that code."""
    return _RESOLUTIONS.get(code, _RESOLUTIONS[ErrorCode.NODE_EXECUTION_FAILED])


def run_error(run: Run, unit: Unit, error: ReportedError) -> RunError:
    """What the worker or the engine said, with its place in the graph."""
    return RunError(
        code=error.code,
        message=error.message or f"node '{unit.node_id}' failed",
        affected_nodes=[unit.node_id],
        dependency_chain=run.plan.chain_to(unit.node_id),
        suggested_resolution=resolution(error.code),
        retryable=error.retryable,
        details=ABSENT if bytes(error.details) == b"null" else field(error.details),
    )


def names_under_way(run: Run) -> list[str]:
    """The nodes of the workflow's own graph that have begun and not ended."""
    return [node.node_id for node in run.nodes.values() if node.status in ("queued", "running", "waiting")]


def timeout_error(run: Run) -> RunError:
    """The run took too long; says what was still under way."""
    running = names_under_way(run)
    return RunError(
        code=ErrorCode.EXECUTION_TIMEOUT,
        message=f"the run took longer than its timeout_ms; still under way: {', '.join(running[:10]) or 'nothing'}",
        affected_nodes=running,
        suggested_resolution=_RESOLUTIONS[ErrorCode.EXECUTION_TIMEOUT],
    )


def queue_timeout_error(run: Run) -> RunError:
    """The run was never admitted."""
    waits = run.triggered.waits
    held = "" if waits is None else f"; when it came, these held the slots: {', '.join(map(str, waits.holders))}"
    return RunError(
        code=ErrorCode.EXECUTION_TIMEOUT,
        message=f"the run waited in the queue for a slot longer than its queue_timeout_ms{held}",
        suggested_resolution="raise settings.queue_timeout_ms or concurrency.limit, or see why its holders take so long",
    )


def lost_source_error(fork: ForkedFrom) -> RunError:
    """The run that this one was to begin from cannot be read."""
    return RunError(
        code=ErrorCode.MISSING_DEPENDENCY,
        message=f"the run {fork.run_id} that this one was forked from is not in the log any more, or cannot be read",
        suggested_resolution="fork another run, or execute the workflow with the input that is wanted",
    )


def unrecorded_error(run: Run, unit: Unit, ended_as: str) -> ReportedError:
    """A shadow run has nothing to take for this node from the run that it was forked from."""
    fork = run.triggered.fork
    assert fork is not None
    place = f"node '{unit.node_id}'" + (f" ({unit.instance})" if unit.instance else "")
    message = f"nothing was done in this shadow run, and the run {fork.run_id} has no outcome of {place}: {ended_as}"
    return ReportedError(code=ErrorCode.MISSING_DEPENDENCY, message=message, retryable=False)


def input_fault(fault: Exception) -> ReportedError:
    """A value that could not be computed, does not fit its port, or is too large; trying again would not help."""
    if isinstance(fault, EvaluationFault):
        return ReportedError(code=ErrorCode.EXPRESSION_ERROR, message=str(fault), retryable=False)
    code = ErrorCode.PAYLOAD_TOO_LARGE if isinstance(fault, inputs.TooLarge) else ErrorCode.INPUT_INVALID
    return ReportedError(code=code, message=str(fault), retryable=False)
