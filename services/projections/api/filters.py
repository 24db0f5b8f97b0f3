"""What lists can be asked to leave out, in the same words wherever it is asked."""

from datetime import datetime
from typing import Annotated

from litestar.params import Parameter

OfWorkflow = Annotated[str | None, Parameter(description="only of this workflow")]
Since = Annotated[datetime | None, Parameter(description="only from this time on; UTC where it names no zone")]
Until = Annotated[datetime | None, Parameter(description="only before this time; UTC where it names no zone")]
