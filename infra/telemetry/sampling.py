"""Which traces are recorded: the samplers that OpenTelemetry names for `OTEL_TRACES_SAMPLER`, decided from ids. Pure.

By ratio it is decided on the low 64 bits of the trace's id, as the SDKs' `TraceIdRatioBased` does, so that all services (and
all languages) decide alike.
"""

import msgspec

from infra.telemetry.context import TraceContext

_ALL = 1 << 64
SAMPLERS = (
    "always_on", "always_off", "traceidratio",
    "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio",
)  # fmt: skip
DEFAULT = "parentbased_always_on"
_PARENT_BASED = "parentbased_"


class Sampling(msgspec.Struct, frozen=True):
    """`bound`: traces whose id is below it are recorded; `follows_parent`: one that began elsewhere as was decided there."""

    bound: int
    follows_parent: bool

    def takes(self, trace_id: int) -> bool:
        """Whether a trace that begins here is recorded."""
        return trace_id & (_ALL - 1) < self.bound

    def goes_on(self, parent: TraceContext) -> bool:
        """Whether one is that began elsewhere."""
        return parent.is_sampled if self.follows_parent else self.takes(parent.trace_id)


def sampling(name: str, ratio: float = 1.0) -> Sampling:
    """One of `SAMPLERS`; `ratio`, 0 to 1, counts where its name says so."""
    kind = name.removeprefix(_PARENT_BASED)
    share = {"always_on": 1.0, "always_off": 0.0, "traceidratio": ratio}[kind]
    return Sampling(round(share * _ALL), name.startswith(_PARENT_BASED))
