"""Erasing a person's data: `blanking` what is left of an event · `finding` which events, and what stands against it ·
`erasing` out of the log and of all
that keeps copies, `bus` out of NATS · `scrubbing` off the disks of Postgres. The database's side is infra/eventlog/erase.sql.
"""

from infra.erasure.erasing import Copies, Erased, erase, erase_copies
from infra.erasure.finding import NotErasable, Preview, find

__all__ = ["Copies", "Erased", "NotErasable", "Preview", "erase", "erase_copies", "find"]
