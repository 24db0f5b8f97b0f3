"""State that is kept up with the log: built at start from what was last written down and the events since.

From then on this service is the only one that adds to it. Decisions are made on copies ("drafts"), so that those of a turn
see one another; what is logged is folded into the state itself, and once something was refused the copies are forgotten.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Collection
from uuid import UUID

import msgspec
from flowforge.identity import lasting_stream

from infra.eventlog import EventLog, Snapshot, StoredEvent
from services.triggers.settings import LEDGER_KEPT_AFTER_COUNT, LEDGER_KEPT_AFTER_POSITIONS, LEDGER_PAGE_COUNT

_log = logging.getLogger(__name__)


class _Kept(msgspec.Struct):
    incarnation: UUID
    position: int
    state: msgspec.Raw


_kept = msgspec.json.Decoder(_Kept)


class KeptUp(ABC):
    """`position`: everything that this service has logged up to there is in.

    `shape` is raised with every change of what is written down; an older one is not read, and the log is.
    """

    stream_type: str
    types: Collection[str]
    shape: int

    def __init__(self, log: EventLog) -> None:
        self.position = 0
        self.is_stale = True
        self._log = log
        self._written_as = lasting_stream("ledger", self.stream_type)
        self._incarnation: UUID | None = None
        self._is_in_doubt = False
        self._since_kept = 0
        self._kept_position = 0

    # --- what it is of ----------------------------------------------------------------------------------------------

    @abstractmethod
    def _begin_empty(self) -> None:
        """Nothing is known."""

    @abstractmethod
    def _take(self, state: bytes) -> None:
        """Begin with what was written down. Raises msgspec.DecodeError."""

    @abstractmethod
    def _written(self) -> bytes:
        """All of it, as JSON."""

    @abstractmethod
    def _size(self) -> int:
        """How many things there are to write down."""

    @abstractmethod
    def _fold(self, stored: StoredEvent) -> bool:
        """Fold one more event; False: it is not the one that was due."""

    @abstractmethod
    def _forget_drafts(self) -> None:
        """What was decided and is not logged is forgotten."""

    # --- the log ----------------------------------------------------------------------------------------------------

    async def refresh(self) -> None:
        """Read it from the log where it may not be the truth. May raise `Unavailable`."""
        if not self.is_stale:
            return
        head = await self._log.head()
        self._incarnation, self.position, self._since_kept = head.incarnation, 0, 0
        self._begin_empty()
        self._forget_drafts()
        snapshot = await self._log.get_snapshot(self._written_as)
        if snapshot is not None:
            self._read(snapshot, head.position)
        self._kept_position = self.position
        is_whole = True
        while True:
            page = await self._log.read(
                self.position, LEDGER_PAGE_COUNT, types=self.types, stream_types={self.stream_type}
            )
            for stored in page:
                is_whole = self._take_in(stored) and is_whole
            if len(page) < LEDGER_PAGE_COUNT:
                break
        self.passed(head.position)
        self.is_stale = not is_whole  # only now: where the log stops answering on the way, what is in is not all

    def _read(self, snapshot: Snapshot, head_position: int) -> None:
        if snapshot.schema_version != self.shape:
            return
        try:
            kept = _kept.decode(snapshot.data)
            if kept.incarnation != self._incarnation or kept.position > head_position:
                return
            self._take(bytes(kept.state))
        except msgspec.DecodeError as fault:
            _log.warning("%s streams are read from the log, the copy cannot be read: %s", self.stream_type, fault)
            self._begin_empty()
            return
        self.position = kept.position

    def add(self, stored: StoredEvent) -> None:
        """One more event of such a stream."""
        if not self._take_in(stored):
            self.is_stale = True

    def _take_in(self, stored: StoredEvent) -> bool:
        is_next = self._fold(stored)
        self._since_kept += 1
        self.passed(stored.position)
        return is_next

    def passed(self, position: int) -> None:
        """Everything that this service has logged up to there is in."""
        self.position = max(self.position, position)

    # --- deciding ---------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Where a decision was not logged, all that was decided on top of it is forgotten."""
        if self._is_in_doubt:
            self._forget_drafts()
            self._is_in_doubt = False

    def not_logged(self) -> None:
        """Something that was decided is not in the log."""
        self._is_in_doubt = True

    # --- writing it down --------------------------------------------------------------------------------------------

    async def keep(self) -> None:
        """Write it down once so much has happened that a start would be slow. May raise `Unavailable`."""
        if self.is_stale or not self._is_worth_keeping():
            return
        assert self._incarnation is not None
        position, self._since_kept = self.position, 0
        kept = _Kept(self._incarnation, position, msgspec.Raw(self._written()))
        await self._log.put_snapshot(Snapshot(self._written_as, 1, self.shape, msgspec.json.encode(kept)))
        self._kept_position = position

    def _is_worth_keeping(self) -> bool:
        if self._since_kept >= max(LEDGER_KEPT_AFTER_COUNT, self._size()):
            return True
        return self.position - self._kept_position >= LEDGER_KEPT_AFTER_POSITIONS
