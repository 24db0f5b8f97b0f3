"""A service as a process: what is asked of it while it is told to stop is answered."""

import asyncio
from collections.abc import Collection, Hashable, Sequence
from pathlib import Path

import msgspec

from infra.bus import Message, Shell
from infra.bus.process import service_app
from infra.eventlog import EventLog
from infra.settings import load_settings
from tests.integration.bus.conftest import Stage
from tests.integration.bus.tally import Tally
from tests.until import WAIT_S, until


class Slow(Tally):
    """Loads until it is told to go on."""

    def __init__(self, log: EventLog, namespace: str) -> None:
        super().__init__(log, namespace)
        self.is_loading, self.goes_on = asyncio.Event(), asyncio.Event()

    def attached(self, shell: Shell) -> None:
        self.shell = shell

    async def load(self, keys: Collection[Hashable], messages: Sequence[Message]) -> None:
        self.is_loading.set()
        await self.goes_on.wait()
        await super().load(keys, messages)


async def test_what_is_under_way_at_a_stop_is_logged_told_and_answered(
    stage: Stage, service_dsn: str, nats_url: str, tmp_path: Path
):
    settings = load_settings(
        {
            "FLOWFORGE_DATABASE_URL": service_dsn,
            "FLOWFORGE_NATS_URL": nats_url,
            "FLOWFORGE_NAMESPACE": stage.namespace,
            "FLOWFORGE_HOME": str(tmp_path),
        }
    )
    services: list[Slow] = []

    def build(_settings: object, log: EventLog) -> Slow:
        services.append(Slow(log, stage.namespace))
        return services[0]

    app = service_app(settings, "execution", build)
    async with app.lifespan_context(), asyncio.timeout(WAIT_S):
        await app.start()
        [service] = services
        await service.shell.is_ready.wait()
        subject = stage.subjects.command("execution", "Count")
        asking = asyncio.create_task(stage.client.request(subject, stage.body("a", 1), timeout=WAIT_S))
        await service.is_loading.wait()
        stopping = asyncio.create_task(app.stop())
        await asyncio.wait({stopping}, timeout=0.3)
        late = await stage.client.request(subject, stage.body("a", 2), timeout=WAIT_S)
        assert msgspec.json.decode(late.data)["refused"]["status"] == 503
        service.goes_on.set()
        await stopping
        assert msgspec.json.decode((await asking).data) == {"ok": {"count": 1}}
    await until(lambda: stage.heard == [{"word": "a", "seq": 1}], "it is told")
