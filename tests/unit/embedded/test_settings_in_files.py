"""Secrets given as files, and readiness told by one: how containers are told things, and tell them."""

import asyncio
import os
from pathlib import Path

import pytest

from infra.embedded import readiness
from infra.settings import SettingsError, load_settings

URL = "postgresql://owner:p@db/flowforge"


def test_what_holds_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text(URL + "\n")
    environ = {"FLOWFORGE_HOME": str(tmp_path), "FLOWFORGE_DATABASE_URL_FILE": str(tmp_path / "url")}
    assert load_settings(environ).database_url == URL


def test_a_value_and_a_file_for_it_are_one_too_many(tmp_path: Path) -> None:
    environ = {"FLOWFORGE_DATABASE_URL": URL, "FLOWFORGE_DATABASE_URL_FILE": str(tmp_path / "url")}
    with pytest.raises(SettingsError, match="both given: keep one"):
        load_settings(environ)


@pytest.mark.parametrize(("content", "reason"), [(None, "No such file"), (b"", "is empty"), (b"\xff\xfe", "no text")])
def test_a_file_that_says_nothing_is_refused_by_name(tmp_path: Path, content: bytes | None, reason: str) -> None:
    if content is not None:
        (tmp_path / "url").write_bytes(content)
    with pytest.raises(SettingsError, match=f"FLOWFORGE_NATS_URL_FILE: .*{reason}"):
        load_settings({"FLOWFORGE_NATS_URL_FILE": str(tmp_path / "url")})


def test_a_wrong_value_in_a_file_is_refused_without_telling_the_password(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("mysql://me:hush@db/x")
    with pytest.raises(SettingsError, match="FLOWFORGE_DATABASE_URL: mysql://me@db/x is refused") as refused:
        load_settings({"FLOWFORGE_DATABASE_URL_FILE": str(tmp_path / "url")})
    assert "hush" not in str(refused.value)


async def test_a_file_says_that_a_process_is_ready_and_that_its_loop_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "ready"
    monkeypatch.setenv(readiness.READY_FILE, str(file))
    monkeypatch.setattr(readiness, "BEAT_S", 0.01)
    readiness.say_ready()
    async with asyncio.timeout(5):
        while not file.exists():
            await asyncio.sleep(0)
        os.utime(file, (0, 0))
        while file.stat().st_mtime == 0:
            await asyncio.sleep(0)
    for beating in list(readiness._beating):  # pyright: ignore[reportPrivateUsage]
        beating.cancel()
