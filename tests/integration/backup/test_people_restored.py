"""Users and keys after a restore: as at the moment of the backup, in force, and still in one piece with the log."""

import asyncio
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.embedded.account import make_traversable
from infra.embedded.cluster import Cluster
from tests.integration.cli.command import COMMAND_S_MAX, environment

pytestmark = pytest.mark.faults
NAMES = ("ada", "ben")
KNOWN = {"stays": 200, "revoked": 401, "of_removed": 401, "ended_later": 200}
Keys = dict[str, str]


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that the account of Postgres may pass through."""
    folder = Path(tempfile.mkdtemp(prefix="flowforge-people-"))
    make_traversable(folder / "any")
    yield folder
    shutil.rmtree(folder)


async def flowforge(home: Path, *words: str) -> None:
    command = [sys.executable, "-m", "services.cli", *words]
    done = await asyncio.to_thread(
        subprocess.run,
        command,
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=COMMAND_S_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def admin_of(cluster: Cluster) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {cluster.admin_key}"}
    return httpx.AsyncClient(base_url=cluster.endpoints.http, headers=headers, timeout=20)


async def sent(client: httpx.AsyncClient, method: str, path: str, body: Any = None) -> dict[str, Any]:
    answer = await client.request(method, path, json=body)
    assert answer.is_success, answer.text
    return answer.json()


async def status(cluster: Cluster, key: str) -> int:
    async with httpx.AsyncClient(base_url=cluster.endpoints.http, headers={"Authorization": f"Bearer {key}"}) as client:
        return (await client.get("/api/session")).status_code


async def lived(admin: httpx.AsyncClient) -> tuple[Keys, Keys]:
    """What happened before the backup: keys by what became of them, and their ids."""
    for name in NAMES:
        await sent(admin, "POST", "/api/users", {"name": name, "role": "editor"})
    users = {"stays": "ada", "revoked": "ada", "ended_later": "ada", "of_removed": "ben"}
    made = {
        word: await sent(admin, "POST", f"/api/users/{user}/keys", {"description": word})
        for word, user in users.items()
    }
    await sent(admin, "DELETE", f"/api/users/ada/keys/{made['revoked']['id']}")
    await sent(admin, "PATCH", "/api/users/ada", {"role": "operator"})
    await sent(admin, "DELETE", "/api/users/ben")
    return {word: each["key"] for word, each in made.items()}, {word: each["id"] for word, each in made.items()}


async def test_users_and_keys_are_those_of_the_backup_and_sessions_are_over(place: Path):
    async with Cluster(place / "old") as cluster, admin_of(cluster) as admin:
        keys, ids = await lived(admin)
        links = [(await sent(admin, "POST", "/api/users/ada/login-links"))["url"].rpartition("?")[2] for _ in range(2)]
        async with httpx.AsyncClient(base_url=cluster.endpoints.http) as browser:
            assert (await browser.get(f"/login?{links[0]}")).status_code == 303
            cookies = dict(browser.cookies)
        await flowforge(place / "old", "backup", str(place / "it.backup"))
        await sent(admin, "DELETE", f"/api/users/ada/keys/{ids['ended_later']}")
        assert {word: await status(cluster, key) for word, key in keys.items()} == KNOWN | {"ended_later": 401}
    await flowforge(place / "new", "restore", "--from", str(place / "it.backup"))
    async with Cluster(place / "new") as cluster, admin_of(cluster) as admin:
        assert {word: await status(cluster, key) for word, key in keys.items()} == KNOWN
        async with httpx.AsyncClient(base_url=cluster.endpoints.http, cookies=cookies) as browser:
            assert (await browser.get("/api/session")).status_code == 401
            assert (await browser.get(f"/login?{links[1]}")).status_code == 401
        await goes_on(cluster, admin, place / "new", keys, ids)


async def goes_on(cluster: Cluster, admin: httpx.AsyncClient, home: Path, keys: Keys, ids: Keys) -> None:
    """What is changed afterwards holds, and the read models made anew tell the same."""
    gone = await sent(admin, "DELETE", f"/api/users/ada/keys/{ids['ended_later']}")
    assert await status(cluster, keys["ended_later"]) == 401
    again = await sent(admin, "POST", "/api/users", {"name": "ben", "role": "viewer"})
    assert await status(cluster, keys["of_removed"]) == 401, "another user of the name, not the key of the one before"
    assert again["position"] > gone["position"]
    told = await listed(admin, again["position"])
    assert {name: role for name, role, _ in told} == {"admin": "admin", "ada": "operator", "ben": "viewer"}
    assert {name: held for name, _, held in told} == {"admin": [], "ada": [ids["stays"]], "ben": []}
    await flowforge(home, "rebuild")
    assert await listed(admin, again["position"]) == told
    assert await status(cluster, keys["stays"]) == 200


async def listed(admin: httpx.AsyncClient, position: int) -> list[tuple[str, str, list[str]]]:
    users = (await sent(admin, "GET", f"/api/users?after={position}"))["items"]
    return [
        (each["name"], each["role"],
         [key["id"] for key in (await sent(admin, "GET", f"/api/users/{each['name']}/keys"))["items"]])
        for each in users
    ]  # fmt: skip
