"""Which services `up` keeps alive: known by name and command only."""

import sys

import msgspec

FRONT = "front"
_NAMED = ("catalog", "triggers", "execution", "scheduler", "projections", "subscriptions")
_WITH_SECRETS = ("catalog", "execution", "subscriptions")
PAGES = ("--pages", "services.console.api:create_app")
_READS = ("--reads", "services.projections.api:create_app")
_WRITES = ("--writes", "services.gateway.api:create_app")


class Service(msgspec.Struct, frozen=True):
    """A process to keep alive: `command` says when it is ready by one byte into FLOWFORGE_READY_FD."""

    name: str
    command: tuple[str, ...]
    has_database: bool = True
    """Whether it gets the services' login of the event log; workers, who run what others wrote, do not."""
    has_secrets: bool = False
    """Whether it may be given the key of secrets."""


def default_services() -> tuple[Service, ...]:
    """The services of FlowForge, each as a process of its own."""
    return (
        *(Service(name, _module(f"services.{name}"), has_secrets=name in _WITH_SECRETS) for name in _NAMED),
        Service("workers", _module("services.workers"), has_database=False),
        Service(FRONT, _module("infra.embedded.front", *_READS, *_WRITES, *PAGES), has_secrets=True),
    )


def _module(name: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", name, *arguments)
