"""Archives: the events of runs that ended long ago, in files instead of the log, and still read as if they were in it.

`record` one event in a file · `file` the format: writing, reading, proving · `catalogue` which files there are ·
`log` the event log that reads the files too · `moving` into a file and back · `erasing` payloads out of a file ·
`proof` the chain over what is in files. The database's side is infra/eventlog/archive.sql.
"""

from infra.archive.file import ArchiveDamaged, ArchiveFile
from infra.archive.log import ArchivedEventLog

__all__ = ["ArchiveDamaged", "ArchiveFile", "ArchivedEventLog"]
