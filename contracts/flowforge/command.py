"""What every command is."""

import msgspec


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Anything asked for. `command_id` is the same however often it is sent; `actor` is who asks."""

    command_id: str
    actor: str = ""
