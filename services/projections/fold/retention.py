"""Runs whose events move into an archive, and back. Their rows stay in the lists; the rows of their nodes go, and are made
again from their events."""

from typing import assert_never

from flowforge.events import RetentionApplied, RetentionEvent, RunsArchived, RunsRestored

from infra.eventlog import StoredEvent
from services.projections.fold.asked import audit
from services.projections.state import CHANGED, CLEAN, NEW, ReadModels, RunRow


def fold_retention(models: ReadModels, stored: StoredEvent, event: RetentionEvent) -> None:
    match event:
        case RunsArchived():
            archived_runs(models, stored, event)
        case RunsRestored():
            restored_runs(models, stored, event)
        case RetentionApplied():
            no_longer_listed(models, event)
        case _:
            assert_never(event)


def archived_runs(models: ReadModels, stored: StoredEvent, event: RunsArchived) -> None:
    changes, gone = models.changes, set(event.runs)
    for run_id in event.runs:
        run = models.runs[run_id]
        run.nodes.clear()
        _mark(models, run.row, event.archive)
    changes.nodes = [row for row in changes.nodes if row.run_id not in gone]
    changes.archived += event.runs
    audit(models, stored, "archive", "archive", event.archive)


def restored_runs(models: ReadModels, stored: StoredEvent, event: RunsRestored) -> None:
    for run_id in event.runs:
        run = models.runs[run_id]
        _mark(models, run.row, None)
        run.nodes = models.histories.pop((stored.position, run_id)).nodes
        for row in run.nodes.values():
            row.change = NEW
            models.changes.nodes.append(row)
    audit(models, stored, "restore", "archive", event.archive)


def no_longer_listed(models: ReadModels, event: RetentionApplied) -> None:
    first, changes = event.decisions_before_position, models.changes
    changes.listed_from_position = max(changes.listed_from_position, first)
    changes.decisions = [row for row in changes.decisions if row.position >= first]
    changes.received = [row for row in changes.received if row.position >= first]


def _mark(models: ReadModels, row: RunRow, archive: str | None) -> None:
    row.archive = archive
    if row.change == CLEAN:
        row.change = CHANGED
        models.changes.runs.append(row)
