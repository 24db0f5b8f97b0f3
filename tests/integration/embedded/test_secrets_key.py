"""The key for secrets: made once by `up`, given to those who need it, and never exchanged unnoticed."""

import json
import sys
from pathlib import Path

import asyncpg
import pytest

from infra.embedded.cluster import Cluster, ClusterError
from infra.embedded.home import Credentials
from infra.embedded.postgres import OWNER
from infra.embedded.services import Service
from infra.secrets import PostgresSecrets, Secret, SecretKey, new_key_text

TELLS_KEY = """
import json, os, signal, sys
from infra.embedded.readiness import say_ready
print(json.dumps(os.environ.get("FLOWFORGE_SECRETS_KEY")), flush=True)
say_ready()
signal.pause()
"""


def services() -> list[Service]:
    command = (sys.executable, "-c", TELLS_KEY)
    return [Service("trusted", command, has_secrets=True), Service("other", command)]


def owner_url(cluster: Cluster) -> str:
    credentials = json.loads(cluster.home.credentials_file.read_text())
    address = cluster.endpoints.database.rpartition("@")[2]
    return f"postgresql://{OWNER}:{Credentials(**credentials).postgres['owner']}@{address}"


def told(cluster: Cluster, name: str) -> str | None:
    return json.loads(cluster.home.log(name).read_text().splitlines()[-1])


async def test_it_is_made_once_for_us_alone_and_another_one_is_refused(server_home: Path, tmp_path: Path) -> None:
    cluster = Cluster(server_home / tmp_path.name, services=services())
    async with cluster:
        text = cluster.home.secrets_key_file.read_text()
        assert cluster.home.secrets_key_file.stat().st_mode & 0o777 == 0o600
        assert (told(cluster, "trusted"), told(cluster, "other")) == (None, None), "the file is enough"
        secrets = PostgresSecrets(owner_url(cluster), SecretKey.read(text, "here"))
        secret = Secret("webhooks/w/t", secrets.fingerprint("webhooks/w/t", "a canary"), "a canary")
        await secrets.put([secret, secret])
        assert await secrets.get(secret.owner, [secret.fingerprint]) == {secret.fingerprint: "a canary"}
        await secrets.close()
        reader = await asyncpg.connect(cluster.endpoints.database)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.fetch("select * from secrets.sealed")
        await reader.close()
    async with cluster:
        assert cluster.home.secrets_key_file.read_text() == text
    cluster.home.secrets_key_file.rename(cluster.home.folder / "lost")
    with pytest.raises(ClusterError, match=r"sealed with another key.*restore"):
        await cluster.start()
    cluster.home.secrets_key_file.write_text("no key")
    with pytest.raises(ClusterError, match=r"secrets\.key: this is no key for secrets.*openssl"):
        await cluster.start()
    (cluster.home.folder / "lost").rename(cluster.home.secrets_key_file)
    async with cluster:
        pass


async def test_a_key_of_the_environment_reaches_those_who_need_it(server_home: Path, tmp_path: Path) -> None:
    key = new_key_text()
    cluster = Cluster(server_home / tmp_path.name, services=services(), env={"FLOWFORGE_SECRETS_KEY": key})
    async with cluster:
        assert (told(cluster, "trusted"), told(cluster, "other")) == (key, None)
        assert not cluster.home.secrets_key_file.exists()
