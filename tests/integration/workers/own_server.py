"""A nats-server that a test may kill, stop and empty."""

import shutil
import signal
import subprocess
from pathlib import Path

from infra.embedded import nats as embedded_nats
from infra.embedded.ports import free_port
from infra.embedded.process import spawn
from tests.conftest import MINIMAL_ENVIRONMENT, _reap, _wait_for  # pyright: ignore[reportPrivateUsage]


class Nats:
    """A nats-server of this test's own, on one port, that can be killed, started and emptied."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._log = home / "nats.log"
        self._port = free_port()
        self._folder = embedded_nats.NatsFolder(home / "nats")
        self._folder.write_config(self._port, dict.fromkeys(embedded_nats.USERS, "secret"), "flowforge")
        self.url = embedded_nats.login_url(self._port, embedded_nats.SUPERVISOR, "secret")
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        self.process = spawn(
            self._folder.server_command(), env=MINIMAL_ENVIRONMENT, log=self._log, cwd=self._folder.folder
        )
        _wait_for(lambda: embedded_nats.is_ready(self._port), self.process, self._log)
        return self.process

    def change_logins(self) -> None:
        """Whoever is connected is turned away."""
        self._folder.write_config(self._port, dict.fromkeys(embedded_nats.USERS, "another"), "flowforge")
        self.process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        self.process.kill()
        _reap(self.process)

    def empty(self) -> None:
        shutil.rmtree(self._folder.folder / "store")
