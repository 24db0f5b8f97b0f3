"""What is wrong with a schedule: found when it is compiled, so that it is told at save and never at a firing."""


class ScheduleFault(Exception):
    """The specification has no valid schedule.

    `field` is the member of ScheduleSpec at fault. `message` says what is wrong in plain words (of a cron it names the
    field within the expression, and what is allowed there); `suggestion` is a next step, or "".
    """

    def __init__(self, field: str, message: str, suggestion: str = "") -> None:
        super().__init__(message)
        self.field = field
        self.message = message
        self.suggestion = suggestion

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" + (f"; {self.suggestion}" if self.suggestion else "")
