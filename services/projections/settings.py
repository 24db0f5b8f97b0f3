"""Every limit of the projections service, with its unit."""

import os
from collections.abc import Mapping

import msgspec

from infra.settings import Settings

RETENTION_VARIABLE = "FLOWFORGE_JOB_LOG_RETENTION_DAYS"
STREAM_CHUNK_BYTES_MAX = 64 * 1024
"""Of what is sent to a listener of a live stream in one go; the HTTP server holds some of these for one that does not
read."""


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
    swept_rows_max: int = 20_000
    """So many reports are deleted in one statement, which has to end in time."""
    retry_wait_s: float = 1.0


class RetentionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept for how long. None: for ever."""

    runs_days: int | None = None
    decisions_days: int | None = None
    blobs_grace_s: float = 86_400.0
    """A blob goes once nothing has referred to it for so long."""
    interval_s: float = 86_400.0
    """From one pass to the next."""
    look_interval_s: float = 60.0
    """How often it is looked whether a pass is due."""


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
    stream_page_bytes_max: int = 512 * 1024
    """Of the events of one page; larger ones come in smaller pages."""
    stream_pause_s: float = 0.05
    """Between two batches for all listeners under load: so no browser gets more than twenty a second."""
    stream_pause_per_listener_s: float = 0.000_25
    """The pause is at least so long for each listener: 0.25 s where a thousand listen."""
    listeners_max: int = 2_000
    """Live streams at once; further ones are refused with 503."""
    listener_backlog_max: int = 1_000
    """Events that wait for one listener; one that is slower is caught up from the log."""
    listener_backlog_bytes_max: int = 4 * 1024 * 1024
    """The same in bytes; what waits for several is there once."""
    graphs_cached_max: int = 2_000
    outlines_cached_max: int = 20_000
    """Versions of workflows whose triggers are kept compiled, without their nodes."""
    runs_placed_max: int = 50_000
    """Runs whose workflow the live stream remembers."""


def retention_settings(settings: Settings) -> RetentionSettings:
    """What the settings of the installation say."""
    return RetentionSettings(runs_days=settings.retention_runs_days, decisions_days=settings.retention_decisions_days)


def job_log_settings(environ: Mapping[str, str] | None = None, retention_days: int | None = None) -> JobLogSettings:
    """The settings in force. Raises ValueError for a retention that is no positive number of days.

    `retention_days` is FLOWFORGE_RETENTION_LOG_LINES_DAYS; without it, an older name of the same is looked at.
    """
    if retention_days is not None:
        return JobLogSettings(retention_days=retention_days)
    given = (os.environ if environ is None else environ).get(RETENTION_VARIABLE)
    if not given:
        return JobLogSettings()
    if not given.isdigit() or int(given) < 1:
        raise ValueError(f"{RETENTION_VARIABLE}: {given!r} is not a number of days, at least 1")
    return JobLogSettings(retention_days=int(given))
