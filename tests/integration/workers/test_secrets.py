"""How the built-in worker comes to the secrets of a job."""

import msgspec
from flowforge.identity import new_uuid
from nats.aio.msg import Msg

from infra.secrets.asking import Question, SecretsAsked, sealed_for, subject
from services.workers.secrets import SecretsOverNats
from tests.integration.workers.executing import Execution
from tests.link import Link


async def test_a_connection_over_which_nothing_comes_any_more_is_left_for_another(
    execution: Execution, nats_url: str, namespace: str
) -> None:
    async def answer(message: Msg) -> None:
        asked = msgspec.json.decode(message.data, type=SecretsAsked)
        await message.respond(msgspec.json.encode(sealed_for(asked, {"name": "the value"})))

    await execution.client.subscribe(subject(execution.subjects), cb=answer)
    link = Link(nats_url)
    async with link.up() as url:
        secrets = SecretsOverNats(url, namespace)
        for _ in range(2):
            question = Question(new_uuid(), "n", ["name"])
            assert question.opened(await secrets.ask(question)) == {"name": "the value"}
            link.cut()
        await secrets.close()
