"""`login`: a one-time link to the console, as `up` prints one."""

from typing import Annotated

from cyclopts import Parameter
from flowforge.errors import Refused
from rich.text import Text

from services.cli.commands.users import no_user
from services.cli.connect import Session

Hidden = Parameter(parse=False)


async def login(user: str | None = None, /, *, session: Annotated[Session, Hidden]) -> None:
    """Make a link that logs you in to the console, once, within an hour.

    Parameters
    ----------
    user
        For whom, else for yourself; for others an administrator's key is needed.
    """
    output = session.output
    async with session.client() as client:
        caller = await client.session()
        if caller["auth"] == "off":
            output.json({"url": session.address, "expires_at": None})
            output.say(Text.assemble("no login is needed, authentication is off: ", (session.address, "bold")))
            return
        name = user or str(caller["user"])
        try:
            link = await client.login_link(name)
        except Refused as refused:
            raise no_user(refused) from refused
    output.json(link)
    output.whole(link["url"])
    output.note(Text(f"open it in a browser: it logs {name} in, once, until {link['expires_at'][:19]}Z", "dim"))
