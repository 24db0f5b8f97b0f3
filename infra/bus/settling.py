"""What becomes of a message once it is dealt with: acknowledged, asked for again later, or put out of circulation."""

from collections.abc import Iterable

import msgspec
from flowforge.refusals import Rejected, too_large
from nats.aio.client import Client

from infra.bus.message import Message

LATER_S = 1.0
"""After so long, what cannot be handled now is tried again."""
_TERM = b"+TERM"


async def acknowledge(client: Client, messages: Iterable[Message]) -> None:
    """Tell the streams that these are done; all in one write."""
    lines = [f"PUB {message.reply_to} 4\r\n+ACK\r\n" for message in messages if message.is_owed]
    if lines:
        await client._send_command("".join(lines).encode())  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001
        await client._flush_pending()  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001


async def ask_again_later(client: Client, messages: Iterable[Message], delay_s: float) -> None:
    """Have these delivered again after a while (a plain `-NAK` would come back at once)."""
    body = b'-NAK {"delay": %d}' % int(delay_s * 1e9)
    for message in messages:
        if message.is_owed:
            await client.publish(message.reply_to, body)


async def take_out(client: Client, message: Message) -> None:
    """Never deliver it again."""
    if message.is_owed:
        await client.publish(message.reply_to, _TERM)


async def answer(client: Client, message: Message, body: bytes) -> None:
    """Answer a command. An answer that the bus cannot carry is told as such."""
    if message.origin != "command" or message.is_settled:
        return
    if len(body) > client.max_payload:
        body = msgspec.json.encode(Rejected(too_large(f"the answer has {len(body)} bytes, too many for the bus")))
    await client.publish(message.reply_to, body)
