import os
from pathlib import Path

import pytest

from infra.embedded import nats
from infra.embedded.home import Home, UpError, write_private


def made(folder: Path) -> Home:
    home = Home(folder)
    home.make(None)
    return home


def test_credentials_are_made_once_for_every_login(tmp_path: Path) -> None:
    home = made(tmp_path / "home")
    first = home.credentials()
    assert set(first.nats) == set(nats.USERS)
    assert set(first.postgres) == {"owner", "service", "reader"}
    assert len({*first.nats.values(), *first.postgres.values()}) == len(nats.USERS) + 3
    assert home.credentials() == first


def test_a_login_that_is_new_gets_a_password_and_the_others_keep_theirs(tmp_path: Path) -> None:
    home = made(tmp_path)
    write_private(home.credentials_file, b'{"postgres": {}, "nats": {"external": "kept"}}')
    assert home.credentials().nats["external"] == "kept"
    assert len(home.credentials().nats["worker"]) > 30


def test_lost_credentials_of_a_database_are_told(tmp_path: Path) -> None:
    home = made(tmp_path)
    home.postgres.mkdir()
    with pytest.raises(UpError, match=r"credentials\.json is missing"):
        home.credentials()


def test_the_admin_key_stays(tmp_path: Path) -> None:
    home = made(tmp_path)
    key = home.admin_key()
    assert key.startswith("ffk_")
    assert len(key) > 30
    assert home.admin_key() == key


def test_what_is_private_is_readable_by_us_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        home = made(tmp_path / "home")
        home.credentials()
        home.admin_key()
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (home.credentials_file, home.admin_key_file)}
    assert modes == {"credentials.json": 0o600, "admin.key": 0o600}
    assert home.folder.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in home.folder.iterdir()) == ["admin.key", "credentials.json", "logs"]


def test_a_home_is_locked_by_one_with_its_process_id(tmp_path: Path) -> None:
    home = made(tmp_path)
    refused = pytest.raises(UpError, match=rf"already up in .* \(process {os.getpid()}\).*FLOWFORGE_HOME")
    with home.locked(), refused, Home(tmp_path).locked():
        pass
    with home.locked():
        pass
