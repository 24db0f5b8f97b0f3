"""Credentials of a deployment: made once, whole, and for these servers."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from infra.deploy.credentials import BadServer, Servers, make
from infra.embedded import nats
from infra.secrets import SecretKey


def test_every_login_of_nats_conf_has_its_url(tmp_path: Path) -> None:
    make(tmp_path / "x", Servers(nats="bus.example:4333"))
    conf = (tmp_path / "x" / "nats.conf").read_text()
    assert 'listen: "0.0.0.0:4333"' in conf
    for login in nats.USERS:
        url = urlsplit((tmp_path / "x" / f"nats-url-{login}").read_text().strip())
        assert (url.username, url.hostname, url.port) == (login, "bus.example", 4333)
        assert f'"user": "{login}", "password": "{url.password}"' in conf
    SecretKey.read((tmp_path / "x" / "secrets-key").read_text(), "secrets-key")


def test_what_is_there_stays_and_what_is_missing_is_made(tmp_path: Path) -> None:
    first = make(tmp_path, Servers())
    before = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert set(first) == set(before)
    (tmp_path / "nats.conf").unlink()
    (tmp_path / "database-password").unlink()
    assert set(make(tmp_path, Servers())) == {"nats.conf", "database-password"}
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == before


def test_nobody_else_enters_the_folder(tmp_path: Path) -> None:
    make(tmp_path / "x", Servers())
    assert (tmp_path / "x").stat().st_mode & 0o077 == 0


def test_of_a_postgres_of_others_address_and_database_are_kept(tmp_path: Path) -> None:
    make(tmp_path, Servers(owner_url="postgresql://boss:p%40ss@db.example:5433/flows?sslmode=require"))
    service = urlsplit((tmp_path / "database-url").read_text().strip())
    assert (service.username, service.hostname, service.port) == ("flowforge_service", "db.example", 5433)
    assert (service.path, service.query) == ("/flows", "sslmode=require")


@pytest.mark.parametrize(
    "servers", [Servers(nats="nats"), Servers(owner_url="mysql://x/y"), Servers(owner_url="db:5432")]
)
def test_an_address_that_makes_no_sense_is_refused(tmp_path: Path, servers: Servers) -> None:
    with pytest.raises(BadServer, match="expected"):
        make(tmp_path, servers)
