"""The suite knows every failpoint: one that is added to the sources is tried from then on, or noticed here."""

from services.workers.wiring import FAILPOINTS
from tests.faults import points

STEPS_OF_THE_TURN = {
    "turn_taken",
    "before_append",
    "after_append",
    "after_publish",
    "before_acknowledge",
    "after_acknowledge",
}
KNOWN = {
    "*.after_resay",
    *(f"*.{step}" for step in STEPS_OF_THE_TURN),
    "archive.after_commit",
    "archive.after_file",
    "archive.after_rewrite",
    "archive.after_rewritten_file",
    "archive.before_restore",
    "eventlog.after_commit",
    "eventlog.before_commit",
    "gateway.after_command",
    "erasure.after_statement",
    "gateway.before_command",
    "gateway.before_reply",
    "projections.after_commit",
    "projections.before_commit",
    "projections.job_log_before_commit",
    "scheduler.after_timers_deleted",
    "scheduler.after_timers_kept",
    "subscriptions.after_post",
    "subscriptions.before_post",
    "subscriptions.before_settle",
    "subscriptions.in_transaction",
    "workers.*",
}


def test_every_point_of_the_sources_is_known_and_every_known_one_is_there():
    assert points.found() == KNOWN, "add it to KNOWN, and see that the load of the suite passes it"


def test_every_service_with_a_turn_writes_the_log_under_fault():
    assert points.turning() == set(points.LOG_WRITERS)


def test_the_built_in_worker_names_the_points_that_workers_tell():
    assert {point.partition(".")[2] for point in FAILPOINTS} == points.told_by_workers()
