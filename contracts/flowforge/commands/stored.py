"""Orders to the catalog: secrets and prompts."""

import msgspec

from flowforge.command import Command
from flowforge.events import NULL
from flowforge.refusals import ExpectedVersion


class SetSecret(Command, kw_only=True, frozen=True):
    """To catalog: the secret that was kept, sealed, under `ref` is the one of this name from now on.

    Answers `{name, version, position}`; the value it has already is no new version. The value itself is in no command.
    """

    name: str
    ref: str


class DeleteSecret(Command, kw_only=True, frozen=True):
    """To catalog: there is no secret of this name any more. Answers as `SetSecret`."""

    name: str


class SavePrompt(Command, kw_only=True, frozen=True):
    """To catalog: a new version of a stored prompt, the first of a new id. Answers `{id, version, position, warnings}`.

    Without `may_be_new` its id must be taken; `expected_version` is what If-Match named. Without a name it has its id's.
    """

    prompt_id: str
    may_be_new: bool = True
    name: str = ""
    description: str = ""
    prompt: msgspec.Raw = NULL
    system: msgspec.Raw = NULL
    expected_version: ExpectedVersion = None


class DeletePrompt(Command, kw_only=True, frozen=True):
    """To catalog. Answers `{id, position}`."""

    prompt_id: str
    expected_version: ExpectedVersion = None
