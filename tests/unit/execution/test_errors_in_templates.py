"""What a node that exists for failure sees of the failure."""

import msgspec
from flowforge.events import NodeCompleted
from flowforge.reports import JobFailed, ReportedError
from given import Scenario, edge, job


def test_an_alarm_reads_the_error_with_the_details_that_the_worker_gave():
    alarm = {"id": "alarm", "type": "data_transform", "expressions": {"why": "${nodes.a.error.details.line}"}}
    run = Scenario({"nodes": [job("a"), alarm], "edges": [edge("a", "alarm", dependency="on_failure")]})
    run.start()
    error = ReportedError(message="it broke", retryable=False, details=msgspec.Raw(b'{"line":7}'))
    events = run.report("a", JobFailed(attempt=1, error=error))
    told = next(event for event in events if isinstance(event, NodeCompleted) and event.node_id == "alarm")
    assert msgspec.json.decode(told.output) == {"why": 7}
