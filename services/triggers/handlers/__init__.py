"""Message in, decide, append: what triggers do in each step of the shell's turn.

A cause that the log knows already answers `Duplicate`; the turn then asks again, and this time what is known is looked
up and left out. A definition that changed meanwhile answers `DefinitionsChanged`; the index catches up first.

`service` is what the shell runs; `arrivals` decides about external events, `commands` about what people ask for, and
`underway` holds what was decided until the log has answered.
"""

from services.triggers.handlers.service import Triggers

__all__ = ["Triggers"]
