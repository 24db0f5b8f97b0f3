"""Every limit of the projections service, with its unit."""

import os
from collections.abc import Mapping

import msgspec

RETENTION_VARIABLE = "FLOWFORGE_JOB_LOG_RETENTION_DAYS"


class LoopSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the log is followed."""

    batch_size_max: int = 2_000
    turn_interval_min_s: float = 0.03
    """Under steady load a turn starts no sooner after the last one, so that it finds more; a lone event never waits."""
    poll_s: float = 1.0
    reconnect_wait_s: float = 0.2
    stand_by_poll_s: float = 0.2
    cached_runs_max: int = 20_000
    rebuild_batch_size: int = 20_000
    exchange_lock_timeout_ms: int = 500
    exchange_tries_max: int = 60


class JobLogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of the lines that jobs write."""

    batch_size_max: int = 500
    retention_days: int = 30
    sweep_interval_s: float = 3_600.0
    retry_wait_s: float = 1.0


class AnswerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How questions of other services are answered."""

    catch_up_wait_s: float = 0.5
    checkpoint_poll_s: float = 0.1


class ReadSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How HTTP reads behave."""

    pool_size_max: int = 8
    after_wait_s: float = 5.0
    """How long `?after=` waits for the read models."""
    catch_up_wait_s: float = 0.5
    """How long a read without it waits, so that who reads at once what was written sees it."""
    answer_wait_s: float = 2.0
    """How long triggers may take to explain one decision, before they are asked again."""
    answer_tries_max: int = 3
    explained_events_max: int = 20
    """So many events of one id are explained in one answer."""
    lines_poll_s: float = 0.01
    checkpoint_poll_s: float = 0.25
    stream_keep_alive_s: float = 15.0
    stream_poll_s: float = 1.0
    stream_page_count: int = 500
    listener_backlog_max: int = 1_000
    """Events that wait for one listener; one that is slower is caught up from the log."""
    graphs_cached_max: int = 2_000
    runs_placed_max: int = 50_000
    """Runs whose workflow the live stream remembers."""


def job_log_settings(environ: Mapping[str, str] | None = None) -> JobLogSettings:
    """The settings in force. Raises ValueError for a retention that is no positive number of days."""
    given = (os.environ if environ is None else environ).get(RETENTION_VARIABLE)
    if not given:
        return JobLogSettings()
    if not given.isdigit() or int(given) < 1:
        raise ValueError(f"{RETENTION_VARIABLE}: {given!r} is not a number of days, at least 1")
    return JobLogSettings(retention_days=int(given))
