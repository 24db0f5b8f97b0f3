"""The bus: NATS and the one turn of the shell. Nobody else speaks JetStream, and nobody else's loop pulls it.

`topology` declares streams; `process` runs a service; `shell` and `turn` are what every service's process does;
`intake`, `publisher` and `settling` are the three things done with NATS: pull, publish, acknowledge (`acknowledging`: when).
"""

from infra.bus.message import Aside, Envelopes, Message, Outgoing, Work, envelope
from infra.bus.shell import Shell, ShellService, run_types
from infra.bus.turn import LoadAgain, Service, Turn

__all__ = [
    "Aside",
    "Envelopes",
    "LoadAgain",
    "Message",
    "Outgoing",
    "Service",
    "Shell",
    "ShellService",
    "Turn",
    "Work",
    "envelope",
    "run_types",
]
