"""What is wrong with an expression.

    Fault
    ├── ExpressionFault    found when it is read: the definition is refused with the position
    └── EvaluationFault    found when it is evaluated: the node fails with EXPRESSION_ERROR

Both name the expression and say in plain words what to do.
"""


class Fault(Exception):
    """`message` says everything there is to say, without the expression; `expression` is its text."""

    def __init__(self, message: str, expression: str) -> None:
        super().__init__(message)
        self.message = message
        self.expression = expression


class ExpressionFault(Fault):
    """The text is no valid expression or template.

    `line` and `column` count from 1, in characters, within `expression`. `path` leads from the template to the string
    at fault, in the notation of `$.nodes[2].type` without the `$` ("" for the template itself). `suggestion` is a next
    step, or "".
    """

    def __init__(
        self, message: str, *, line: int, column: int, expression: str, suggestion: str = "", path: str = ""
    ) -> None:
        super().__init__(message, expression)
        self.line = line
        self.column = column
        self.suggestion = suggestion
        self.path = path

    def __str__(self) -> str:
        where = f" (in {self.path})" if self.path else ""
        advice = f"; {self.suggestion}" if self.suggestion else ""
        return f"{self.message}{advice}{where}"

    def below(self, path: str) -> "ExpressionFault":
        """The same fault, seen from a template that holds it at `path`."""
        return ExpressionFault(
            self.message,
            line=self.line,
            column=self.column,
            expression=self.expression,
            suggestion=self.suggestion,
            path=path + self.path,
        )


class EvaluationFault(Fault):
    """The expression has no value for these bindings. `missing` is the name or value path that was not there, if so."""

    def __init__(self, expression: str, message: str, missing: str | None = None) -> None:
        super().__init__(message, expression)
        self.missing = missing

    def __str__(self) -> str:
        return f"{self.message}, in `{self.expression}`"


def position(text: str, offset: int) -> tuple[int, int]:
    """Line and column of a character, both from 1."""
    line_start = text.rfind("\n", 0, offset) + 1
    return text.count("\n", 0, offset) + 1, offset - line_start + 1


def fault_at(text: str, offset: int, message: str, suggestion: str = "") -> ExpressionFault:
    """An ExpressionFault whose message ends in its position: `unexpected ')' at 1:5`."""
    line, column = position(text, offset)
    return ExpressionFault(
        f"{message} at {line}:{column}", line=line, column=column, expression=text, suggestion=suggestion
    )
