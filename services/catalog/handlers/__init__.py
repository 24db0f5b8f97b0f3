"""Command in, load, decide, append, answer: catalog as the shell runs it.

The stream of a workflow is read whole for every command: people save seldom, and nothing kept in memory can be wrong.
A group of events has one actor and one cause, so of several commands for one workflow each gets an append of its own.
A command that comes again is found among the causes of the stream's events, and answered as it was the first time.

`service` is what the shell runs; `reading` makes commands of messages; `workflows` changes one workflow at a time, and
`several` more than one at once; what is saved beside workflows is changed by `services.catalog.versioned`.
"""

from services.catalog.handlers.service import Catalog

__all__ = ["Catalog"]
