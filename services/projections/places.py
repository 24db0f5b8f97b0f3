"""Which workflow a logged event concerns."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from uuid import UUID

import msgspec
from flowforge.identity import named_stream

from infra.eventlog import EventLog, StoredEvent

PlaceRuns = Callable[[Sequence[UUID]], Awaitable[dict[UUID, str]]]


class _Named(msgspec.Struct):
    workflow_id: str | None = None


_named = msgspec.json.Decoder(_Named)


class Places:
    """Which workflow an event belongs to. Remembers the workflows of the runs seen last."""

    def __init__(self, log: EventLog, place_runs: PlaceRuns, runs_max: int) -> None:
        self._event_log = log
        self._place_runs = place_runs
        self._runs_max = runs_max
        self._runs: OrderedDict[UUID, str] = OrderedDict()

    async def of_workflow(self, events: Iterable[StoredEvent], workflow_id: str) -> list[StoredEvent]:
        """Those of the workflow itself, of its runs, and of decisions and timers that name it."""
        listed = list(events)
        places = await self.of_runs(listed)
        return [event for event in listed if is_of(event, workflow_id, places)]

    async def of_runs(self, events: Sequence[StoredEvent]) -> dict[UUID, str]:
        """The workflow of every run in these events, whatever is forgotten meanwhile."""
        places: dict[UUID, str] = {}
        unknown: dict[UUID, None] = {}
        for event in events:
            run_id = event.stream_id
            if event.stream_type != "run" or run_id in places:
                continue
            if run_id in self._runs:
                places[run_id] = self._runs[run_id]
            elif event.type == "WorkflowTriggered":
                places[run_id] = _named.decode(event.data).workflow_id or ""
                unknown.pop(run_id, None)
            else:
                unknown[run_id] = None
        if unknown:
            places |= await self._place_runs(list(unknown))
        for run_id in unknown.keys() - places.keys():  # not projected yet: its first event says it
            for first in await self._event_log.read_stream(run_id, 0, 1):
                places[run_id] = _named.decode(first.data).workflow_id or ""
        for run_id, workflow_id in places.items():
            self._remember(run_id, workflow_id)
        return places

    def _remember(self, run_id: UUID, workflow_id: str) -> None:
        self._runs[run_id] = workflow_id
        if len(self._runs) > self._runs_max:
            self._runs.popitem(last=False)


def is_of(event: StoredEvent, workflow_id: str, places: Mapping[UUID, str]) -> bool:
    """Whether the event concerns the workflow. `places`: of the run that it belongs to."""
    if event.stream_type == "run":
        return places.get(event.stream_id) == workflow_id
    if event.stream_type == "workflow":
        return event.stream_id == named_stream("workflow", workflow_id)
    return _named.decode(event.data).workflow_id == workflow_id
