"""The schedule that a trigger of a workflow means; the same everywhere, jitter included."""

from flowforge.definition import ScheduleConfig

from infra.schedules.schedule import Schedule, ScheduleSpec, compile_schedule


def schedule_of(config: ScheduleConfig, workflow_id: str, trigger_id: str) -> Schedule:
    """The schedule as its author wrote it. Raises ScheduleFault."""
    spec = ScheduleSpec(
        cron=config.cron,
        every_ms=config.every_ms,
        timezone=config.timezone,
        start_at=config.start_at,
        end_at=config.end_at,
        exclude_dates=tuple(config.exclude_dates),
        jitter_ms=config.jitter_ms,
    )
    return compile_schedule(spec, f"{workflow_id}/{trigger_id}")
